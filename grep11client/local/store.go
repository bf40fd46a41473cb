package local

import (
	"context"
	"sync"

	"google.golang.org/protobuf/proto"

	"grep11/grep11client/extpb"
)

// Service makes a grep11.Crypto call.
type Service func(ctx context.Context, req *extpb.Request) (*extpb.Response, error)

// Store is one file as this process knows it.
type Store struct {
	service Service

	mu      sync.Mutex // never held across a call of the service
	log     log
	tokens  map[string]*extpb.StoreToken  // by id
	objects map[string]*extpb.StoreObject // by id
	handles map[uint64]string             // ids by handle
	handle  uint64                        // the next one
	number  uint64                        // of the next token
	logins  map[string]login              // of this process, by credential
}

// New makes the store of a file, which need not be there yet. It touches
// nothing: the first call does.
func New(path string, service Service) *Store {
	s := &Store{service: service, log: log{path: path}, logins: map[string]login{}}
	s.clear()
	return s
}

// Close lets go of the file.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.close()
}

func (s *Store) clear() {
	s.tokens = map[string]*extpb.StoreToken{}
	s.objects = map[string]*extpb.StoreObject{}
	s.handles = map[uint64]string{}
	s.handle, s.number = 1, 0
}

func (s *Store) apply(r *extpb.StoreRecord) {
	for _, id := range r.DeletedTokens {
		delete(s.tokens, string(id))
		for oid, o := range s.objects {
			if string(o.Token) == string(id) {
				s.forget(oid)
			}
		}
	}
	for _, id := range r.DeletedObjects {
		s.forget(string(id))
	}
	for _, t := range r.Tokens {
		if t.GetInfo() != nil && t.SoPin != nil {
			s.tokens[string(t.Info.Id)] = t
		}
	}
	for _, o := range r.Objects {
		if o.GetObject() == nil {
			continue
		}
		s.objects[string(o.Object.Id)] = o
		s.handles[o.Object.Handle] = string(o.Object.Id)
	}
	s.handle, s.number = max(s.handle, r.NextHandle), max(s.number, r.NextNumber)
}

func (s *Store) forget(id string) {
	if o := s.objects[id]; o != nil {
		delete(s.handles, o.Object.Handle)
		delete(s.objects, id)
	}
}

// look brings the memory up to date. Caller holds s.mu.
func (s *Store) look() error { return s.log.refresh(s.clear, s.apply) }

// change runs f on what is stored now, and stores the record that it gives.
// Caller holds s.mu.
func (s *Store) change(f func() (*extpb.StoreRecord, error)) error {
	return s.log.exclusively(func() error {
		if err := s.look(); err != nil {
			return err
		}
		record, err := f()
		if err != nil || record == nil {
			return err
		}
		// What is kept may not be changed through what was given.
		record = proto.CloneOf(record)
		if err := s.log.add(record); err != nil {
			return err
		}
		s.apply(record)
		return s.compact()
	})
}

// compact writes the log anew once most of it is outdated.
func (s *Store) compact() error {
	if s.log.read < compactAbove {
		return nil
	}
	all := &extpb.StoreRecord{NextHandle: s.handle, NextNumber: s.number}
	for _, t := range s.tokens {
		all.Tokens = append(all.Tokens, t)
	}
	for _, o := range s.objects {
		all.Objects = append(all.Objects, o)
	}
	if n := int64(proto.Size(all)); n > s.log.read/2 || n > maxRecord {
		return nil
	}
	return s.log.replace(all)
}
