package keystore

import (
	"slices"
	"strings"
	"testing"
)

func TestAnnouncementsComeBack(t *testing.T) {
	self, other := NewID(), NewID()
	what := []touched{{touchedToken, NewID()}, {touchedObject, NewID()}, {touchedLogin, NewID()}, {kind: touchedAll}}
	if got := readAnnouncement(other, announcement(self, what)); !slices.Equal(got, what) {
		t.Error(got)
	}
	if got := readAnnouncement(self, announcement(self, what)); got != nil {
		t.Error("its own announcement:", got)
	}
	many := make([]touched, maxListed+1)
	text := announcement(self, many)
	if got := readAnnouncement(other, text); len(got) != 1 || got[0].kind != touchedAll {
		t.Error(got)
	}
	if longest := announcement(self, many[:maxListed]); len(longest) >= 8000 { // what pg_notify takes
		t.Error(len(longest), "bytes")
	}
}

func FuzzAnnouncement(f *testing.F) {
	self := NewID()
	f.Add(announcement(NewID(), []touched{{touchedObject, NewID()}}))
	f.Add("")
	f.Add("x ")
	f.Add("abc o123")
	f.Fuzz(func(t *testing.T, text string) {
		what := readAnnouncement(self, text)
		if len(what) == 0 && !strings.HasPrefix(strings.TrimSpace(text), announcement(self, nil)) {
			t.Errorf("%q is not understood and changes nothing", text)
		}
	})
}
