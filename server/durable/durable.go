// Package durable writes files that outlast a crash of the machine: once a function
// has returned, the file is there under its name, as a whole.
package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// Replace writes a file; after a crash there is the old one or the new. What a crash
// leaves besides is named path.*.
func Replace(path string, b []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already if all went well
	if err := finish(f, b, f.Chmod(mode)); err != nil {
		return err
	}
	return Rename(f.Name(), path)
}

// Create writes a new file, or none at all: one that is there is never replaced.
func Create(path string, b []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if err := finish(f, b, nil); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return syncFolder(path)
}

// Rename gives a file that was written and synced its name.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncFolder(to)
}

func finish(f *os.File, b []byte, err error) error {
	if err == nil {
		_, err = f.Write(b)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
