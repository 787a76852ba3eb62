// Package faultstore wraps a sekali.Store with scripted failures of
// AppendBatch, for tests of what stands above a store.
//
// Calls of AppendBatch are counted from 1; a script says what happens at which
// call, every other call and every other method goes straight to the wrapped
// store. As the Store contract demands, a store that once answered with
// CodeStorageFailed refuses all further writes. The script may be extended at
// any time and from any goroutine.
package faultstore

import (
	"context"
	"sync"

	"sekali"
)

// Fault is what happens at one call of AppendBatch. commit runs the call on
// the wrapped store.
type Fault func(commit func() (sekali.Appended, error)) (sekali.Appended, error)

// Refuse fails with err and leaves the wrapped store untouched.
func Refuse(err *sekali.Error) Fault {
	return func(func() (sekali.Appended, error)) (sekali.Appended, error) { return sekali.Appended{}, err }
}

// LoseAck commits and then fails with err all the same: the caller cannot tell
// it from Refuse. Should the commit itself fail, that error is returned.
func LoseAck(err *sekali.Error) Fault {
	return func(commit func() (sekali.Appended, error)) (sekali.Appended, error) {
		if _, failure := commit(); failure != nil {
			return sekali.Appended{}, failure
		}
		return sekali.Appended{}, err
	}
}

// Hang closes reached, waits until release is closed and then commits. Like a
// disk that does not answer it ignores the context; a test must close release
// before it ends.
func Hang(reached chan<- struct{}, release <-chan struct{}) Fault {
	return func(commit func() (sekali.Appended, error)) (sekali.Appended, error) {
		close(reached)
		<-release
		return commit()
	}
}

// Panic panics with value before anything reaches the wrapped store.
func Panic(value any) Fault {
	return func(func() (sekali.Appended, error)) (sekali.Appended, error) { panic(value) }
}

// Store is a sekali.Store with scripted failures.
type Store struct {
	sekali.Store // everything but AppendBatch

	mu     sync.Mutex
	calls  int
	script map[int]Fault
	failed error // set once by CodeStorageFailed
	ready  error // what Ready says
}

var _ sekali.Store = (*Store)(nil)

// New wraps store; without a script it behaves like it.
func New(store sekali.Store) *Store {
	return &Store{Store: store, script: make(map[int]Fault)}
}

// At schedules fault for the n-th call of AppendBatch, counted from 1 over the
// life of the Store; it replaces what was scheduled for that call.
func (s *Store) At(n int, fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script[n] = fault
}

// Next schedules fault for the next call of AppendBatch.
func (s *Store) Next(fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script[s.calls+1] = fault
}

// Calls returns how often AppendBatch was called.
func (s *Store) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// SetReady makes Ready return err, as a store does that knows of a failure or a
// full disk before the next write; nil ends it.
func (s *Store) SetReady(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = err
}

// Ready returns what SetReady was called with last.
func (s *Store) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

// AppendBatch implements sekali.Store, with the fault scheduled for this call.
func (s *Store) AppendBatch(ctx context.Context, b sekali.Batch) (sekali.Appended, error) {
	fault, failed := s.nextCall()
	if failed != nil {
		return sekali.Appended{}, failed
	}
	commit := func() (sekali.Appended, error) { return s.Store.AppendBatch(ctx, b) }
	if fault == nil {
		return commit()
	}
	appended, err := fault(commit)
	if err != nil && sekali.CodeOf(err) == sekali.CodeStorageFailed {
		s.mu.Lock()
		s.failed = err
		s.mu.Unlock()
	}
	return appended, err
}

func (s *Store) nextCall() (Fault, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	return s.script[s.calls], s.failed
}
