package until

import (
	"context"
	"errors"
	"testing"
	"time"
)

type name struct{}

func TestAContextThatIsAskedAndOneThatIsWaitedFor(t *testing.T) {
	parent, cancel := context.WithCancel(context.WithValue(t.Context(), name{}, "parent"))
	defer cancel()
	for _, row := range []struct {
		name string
		at   time.Time
		end  func()
		want error
	}{
		{"in time", time.Now().Add(time.Hour), func() {}, nil},
		{"without a bound", time.Time{}, func() {}, nil},
		{"too late", time.Now().Add(-time.Second), func() {}, context.DeadlineExceeded},
		{"a parent that ended", time.Now().Add(time.Hour), cancel, context.Canceled},
	} {
		t.Run(row.name, func(t *testing.T) {
			asked, waited := New(parent, row.at), New(parent, row.at)
			defer asked.Release()
			defer waited.Release()
			done := waited.Done()
			row.end()
			if err := asked.Err(); !errors.Is(err, row.want) {
				t.Errorf("asked: %v", err)
			}
			if row.want != nil {
				<-done
			}
			if err := waited.Err(); !errors.Is(err, row.want) {
				t.Errorf("waited: %v", err)
			}
			for _, c := range []*Context{asked, waited} {
				if c.Value(name{}) != "parent" {
					t.Error("the parent's values are not there")
				}
			}
		})
	}
}

func TestTheEarlierDeadlineCounts(t *testing.T) {
	soon := time.Now().Add(time.Minute)
	parent, cancel := context.WithDeadline(t.Context(), soon)
	defer cancel()
	for _, at := range []time.Time{{}, soon.Add(time.Hour)} {
		if d, ok := New(parent, at).Deadline(); !ok || !d.Equal(soon) {
			t.Errorf("%v, %v", d, ok)
		}
	}
}

func TestChildrenEndWithTheirRelease(t *testing.T) {
	c := New(t.Context(), time.Now().Add(time.Hour))
	child, cancel := context.WithCancel(c)
	defer cancel()
	c.Release()
	select {
	case <-child.Done():
	case <-time.After(5 * time.Second):
		t.Error("the child goes on")
	}
}
