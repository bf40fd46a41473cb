package keystore

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"grep11/pkcs11/ck"
)

// childStore makes the test binary a writer that runs until it is killed.
const childStore = "GREP11_TEST_CHILD_STORE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childStore); path != "" {
		writeUntilKilled(path)
	}
	os.Exit(m.Run())
}

// writeUntilKilled creates objects from 8 goroutines. It says the request, the
// label and "?" before it asks, and the handle after the answer.
func writeUntilKilled(path string) {
	ctx := context.Background()
	s, err := Open(ctx, path)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	tokens, _, err := s.Tokens(ctx)
	if err != nil || len(tokens) != 1 {
		fmt.Println("error", err, len(tokens))
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				id := NewID()
				label := hex.EncodeToString(id[:])
				o := newKey(tokens[0].ID, label)
				fmt.Printf("%s ?\n", label)
				r := Request{ID: id, Method: "CreateObject", Token: tokens[0].ID}
				if _, err := s.Create(ctx, r, []*Object{o}, noResult); err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				fmt.Printf("%s %d\n", label, o.Handle)
			}
		})
	}
	wg.Wait()
}

// runAndKill kills the writer after some answers, and gives what it said: for
// each label the handle, 0 for those without an answer.
func runAndKill(t *testing.T, path string, answers int) map[string]ck.ObjectHandle {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childStore+"="+dsnOf(t, path))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := map[string]ck.ObjectHandle{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		label, handle, _ := strings.Cut(lines.Text(), " ")
		if label == "error" {
			t.Error(lines.Text())
			break
		}
		if handle == "?" {
			said[label] = 0
			continue
		}
		n, err := strconv.ParseUint(handle, 10, 64)
		if err != nil {
			break // the line was cut
		}
		said[label] = ck.ObjectHandle(n)
		if answers--; answers == 0 {
			_ = cmd.Process.Kill() // SIGKILL; what it said until then is still read
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return said
}

// What was acknowledged is there once, what was not is there once or not at
// all, and a repeat of its request makes it once.
func TestKilledWriterLosesNothingAndDoublesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, path)
	tok := newToken(t, s, "one")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	all := 0
	for round := range 5 {
		said := runAndKill(t, path, 40+60*round)
		s := open(t, path)
		for label, handle := range said {
			checkOnce(t, s, tok.ID, label, handle)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		all += len(said)
	}
	s = open(t, path)
	n := 0
	for q := (Query{Private: true}); ; {
		found, more, err := s.Find(context.Background(), tok.ID, q)
		if err != nil {
			t.Fatal(err)
		}
		n += len(found)
		if !more {
			break
		}
		q.After = found[len(found)-1].Handle
	}
	if n != all {
		t.Errorf("%d objects for %d requests", n, all)
	}
}

func checkOnce(t *testing.T, s *Store, token ID, label string, handle ck.ObjectHandle) {
	t.Helper()
	ctx := context.Background()
	found, _, err := s.Find(ctx, token, byLabel(label))
	if err != nil || len(found) > 1 || handle != 0 && (len(found) == 0 || found[0].Handle != handle) {
		t.Fatalf("object %s, acknowledged as %d: found %d: %v", label, handle, len(found), err)
	}
	id, _ := hex.DecodeString(label)
	r := Request{ID: ID(id), Method: "CreateObject", Token: token}
	if _, err := s.Create(ctx, r, []*Object{newKey(token, label)}, noResult); err != nil {
		t.Fatal(err)
	}
	if found, _, err = s.Find(ctx, token, byLabel(label)); err != nil || len(found) != 1 {
		t.Fatalf("object %s after a repeat: found %d: %v", label, len(found), err)
	}
}
