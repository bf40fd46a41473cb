package keystore

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"grep11/pkcs11/ck"
)

// Servers that share a store announce their changes, so that the others forget
// what they remember of them: the server's id, then kind and id of each change.
// An announcement is part of the transaction it is about.
const (
	channel   = "grep11_keystore"
	maxListed = 100 // changes in one announcement; more are one "all"
)

const kindLetters = "tola" // of touchedToken, touchedObject, touchedLogin, touchedAll

func announcement(self ID, what []touched) string {
	var b strings.Builder
	b.WriteString(hex.EncodeToString(self[:]))
	if len(what) > maxListed {
		what = []touched{{kind: touchedAll}}
	}
	for _, t := range what {
		b.WriteByte(' ')
		b.WriteByte(kindLetters[t.kind])
		b.WriteString(hex.EncodeToString(t.id[:]))
	}
	return b.String()
}

// readAnnouncement gives another server's changes. What is not understood may
// be anything, so all is forgotten.
func readAnnouncement(self ID, text string) (what []touched) {
	words := strings.Fields(text)
	if len(words) > 0 && words[0] == hex.EncodeToString(self[:]) {
		return nil
	}
	all := []touched{{kind: touchedAll}}
	if len(words) < 2 {
		return all
	}
	for _, w := range words[1:] {
		var t touched
		kind := strings.IndexByte(kindLetters, w[0])
		if n, err := hex.Decode(t.id[:], []byte(w[1:min(len(w), 33)])); kind < 0 || err != nil || n != len(t.id) {
			return all
		}
		t.kind = touchedKind(kind)
		what = append(what, t)
	}
	return what
}

// announce tells the other servers what the transaction changed.
func (t *tx) announce() error {
	if t.w.tell == "" || len(t.touched) == 0 {
		return nil
	}
	var none any
	return t.row(t.w.tell, []any{announcement(t.w.self, t.touched)}, &none)
}

// The listener asks for a sign of life this often, and for so long after the
// last one the caches are sure to be told of changes: a lost connection cannot
// make them wrong for longer.
const (
	listenEvery = 500 * time.Millisecond
	listenWait  = time.Second
	listenPause = 50 * time.Millisecond // after a connection that stood
	sureFor     = 2 * time.Second
)

// listener owns the connection that hears of other servers' changes.
type listener struct {
	dsn    string
	self   ID
	forget func([]touched)
	until  atomic.Pointer[time.Time] // when the caches stop to be sure
	heard  atomic.Pointer[time.Time] // when they were last
	outage atomic.Int64              // how long they do after that, where the database does not answer
	here   presence
	cancel context.CancelFunc
	done   chan struct{}
}

func startListener(dsn string, self ID, forget func([]touched)) *listener {
	ctx, cancel := context.WithCancel(context.Background())
	l := &listener{dsn: dsn, self: self, forget: forget, cancel: cancel, done: make(chan struct{})}
	l.here.set(true)
	l.until.Store(&time.Time{})
	l.heard.Store(&time.Time{})
	go l.loop(ctx)
	return l
}

func (l *listener) stop() {
	l.cancel()
	<-l.done
}

func (l *listener) sure() bool { return within(time.Now(), *l.until.Load()) }

// spare tells whether what was known before an outage still does, after a load
// that failed with err: that something is not there is no failure.
func (l *listener) spare(err error) bool {
	outage := time.Duration(l.outage.Load())
	return ck.RVOf(err) == ck.CKR_DEVICE_ERROR && within(time.Now(), l.heard.Load().Add(outage))
}

// within counts by both clocks: one may be set back, and the other stands still
// while a virtual machine does.
func within(now, until time.Time) bool {
	return now.Before(until) && now.Round(0).Before(until.Round(0))
}

func (l *listener) loop(ctx context.Context) {
	defer close(l.done)
	for ctx.Err() == nil {
		pause := l.listen(ctx)
		l.until.Store(&time.Time{})
		select { // before the next try
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// listen hears until the connection fails, and tells how long to wait then.
func (l *listener) listen(ctx context.Context) (pause time.Duration) {
	conn, err := l.connect(ctx)
	if err != nil {
		l.here.set(false)
		return listenEvery
	}
	defer conn.Close(context.Background())
	l.forget([]touched{{kind: touchedAll}}) // what came before was not heard
	for {
		asked := time.Now()
		if err := l.ask(ctx, conn); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				l.here.set(false)
			}
			return listenPause
		}
		l.here.set(true)
		until := asked.Add(sureFor)
		l.until.Store(&until)
		l.heard.Store(&asked)
		if l.hear(ctx, conn) != nil {
			return listenPause
		}
	}
}

func (l *listener) connect(ctx context.Context) (*pgx.Conn, error) {
	c, err := postgresConfig(l.dsn)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, listenWait)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		conn.Close(context.Background())
		return nil, err
	}
	return conn, nil
}

// ask makes sure that everything announced until now has arrived: the database
// sends announcements before an answer.
func (l *listener) ask(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, listenWait)
	defer cancel()
	return conn.Ping(ctx)
}

// hear forgets what is announced, for a while.
func (l *listener) hear(ctx context.Context, conn *pgx.Conn) error {
	until, cancel := context.WithTimeout(ctx, listenEvery)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(until)
		switch {
		case err == nil:
			l.forget(readAnnouncement(l.self, n.Payload))
		case until.Err() != nil && ctx.Err() == nil && !conn.IsClosed():
			return nil
		default:
			return err
		}
	}
}
