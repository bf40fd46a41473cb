package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
)

const tables = "build/gen/tables"

// rows reads a table without its heading line.
func rows(name string) ([][]string, error) {
	f, err := os.Open(filepath.Join(tables, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return all[1:], nil
}
