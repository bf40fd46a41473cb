package direct

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	frameSize  = 16 << 10 // bytes, the least that every peer takes (RFC 9113, 4.2)
	prefix     = 5        // bytes before each message: compressed or not, length
	streamID   = 1
	firstGrant = 65535     // bytes, before a peer says otherwise (RFC 9113, 6.9.2)
	ourGrant   = 1<<31 - 1 // bytes, to the peer
	renewGrant = 1 << 20   // bytes, received before we grant more
	maxHeaders = 16 << 10  // bytes
	maxAnswer  = 64<<20 + 4096
	kept       = 64 << 10 // bytes of a buffer, for the next answer
)

// MaxRequest is the longest request that a stream takes, in bytes.
const MaxRequest = frameSize - prefix

// Stream is one call of a bidirectional gRPC method: requests and answers in turn.
// One goroutine at a time uses it.
type Stream struct {
	conn    io.ReadWriter
	framer  *http2.Framer
	out     bytes.Buffer // frames that are to be written
	request []byte
	answer  []byte
	granted [2]int64 // bytes that the peer takes: on the connection, on the stream
	initial int64    // what the peer grants a stream
	taken   uint32   // bytes received since we granted more
	settled bool     // the peer's settings are here
	leaving bool     // the peer has said goodbye
}

const (
	onConnection = iota
	onStream
)

// Method is what a stream calls, with its metadata.
type Method struct {
	TLS       bool // is under it
	Authority string
	Path      string // "/package.Service/Name"
	Metadata  []hpack.HeaderField
}

// Open begins a call on a connection that was just made. It waits for the server's
// first word, not for the method's.
func Open(conn io.ReadWriter, m Method) (*Stream, error) {
	s := &Stream{conn: conn, granted: [2]int64{firstGrant, firstGrant}, initial: firstGrant}
	s.framer = http2.NewFramer(&s.out, conn)
	s.framer.SetReuseFrames()
	s.framer.SetMaxReadFrameSize(frameSize)
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	s.framer.MaxHeaderListSize = maxHeaders
	s.out.WriteString(http2.ClientPreface)
	s.put(s.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: ourGrant},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeaders}))
	s.put(s.framer.WriteWindowUpdate(0, ourGrant-firstGrant))
	if err := s.flush(); err != nil {
		return nil, err
	}
	for !s.settled {
		if err := s.take(); err != nil {
			return nil, err
		}
	}
	s.put(s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: streamID, EndHeaders: true,
		BlockFragment: m.headers()}))
	if s.out.Len() > frameSize {
		return nil, errors.New("the metadata does not fit in a frame")
	}
	return s, s.flush()
}

// headers are encoded without a table, so that the peer's wish for its size is met.
func (m Method) headers() []byte {
	scheme := "http"
	if m.TLS {
		scheme = "https"
	}
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	e.SetMaxDynamicTableSize(0)
	for _, f := range append([]hpack.HeaderField{{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: scheme},
		{Name: ":path", Value: m.Path}, {Name: ":authority", Value: m.Authority},
		{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"}}, m.Metadata...) {
		_ = e.WriteField(f) // to memory
	}
	return block.Bytes()
}

// put: frames go to memory, so that only a mistake of ours can fail here.
func (s *Stream) put(err error) {
	if err != nil {
		panic("direct: " + err.Error())
	}
}

func (s *Stream) flush() error {
	_, err := s.conn.Write(s.out.Bytes())
	s.out.Reset()
	return err
}

// Good tells whether the stream may be used for another call.
func (s *Stream) Good() bool {
	return !s.leaving && min(s.granted[onConnection], s.granted[onStream]) >= frameSize
}

// Call sends a request of MaxRequest bytes at most, which append adds to a buffer,
// and gives the answer, which is valid until the next call. An error that the server
// ended the stream with has its status; after any error the stream is of no more use.
func (s *Stream) Call(request func(buf []byte) ([]byte, error)) (answer []byte, err error) {
	s.request, err = request(append(s.request[:0], make([]byte, prefix)...))
	if err != nil {
		return nil, err
	}
	n := len(s.request)
	if n > frameSize || !s.Good() {
		return nil, fmt.Errorf("no room for a request of %d bytes", n)
	}
	binary.BigEndian.PutUint32(s.request[1:], uint32(n-prefix))
	s.put(s.framer.WriteData(streamID, false, s.request))
	s.granted[onConnection] -= int64(n)
	s.granted[onStream] -= int64(n)
	s.grant()
	if err := s.flush(); err != nil {
		return nil, err
	}
	if s.answer = s.answer[:0]; cap(s.answer) > kept {
		s.answer = nil
	}
	for {
		if err := s.take(); err != nil {
			return nil, err
		}
		if answer, err := s.whole(); answer != nil || err != nil {
			return answer, err
		}
	}
}

// grant lets the peer send as much again as has come.
func (s *Stream) grant() {
	if s.taken < renewGrant {
		return
	}
	s.put(s.framer.WriteWindowUpdate(0, s.taken))
	s.put(s.framer.WriteWindowUpdate(streamID, s.taken))
	s.taken = 0
}

// whole gives the answer once all of it has come.
func (s *Stream) whole() ([]byte, error) {
	if len(s.answer) < prefix {
		return nil, nil
	}
	n := int64(binary.BigEndian.Uint32(s.answer[1:]))
	switch have := int64(len(s.answer) - prefix); {
	case s.answer[0] != 0:
		return nil, errors.New("the answer is compressed")
	case n > maxAnswer:
		return nil, fmt.Errorf("an answer of %d bytes", n)
	case have > n:
		return nil, errors.New("more than one answer")
	case have < n:
		return nil, nil
	}
	return s.answer[prefix:], nil
}

// take reads one frame and does what it asks for.
func (s *Stream) take() error {
	f, err := s.framer.ReadFrame()
	if err != nil {
		return err
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		return s.settings(f)
	case *http2.PingFrame:
		return s.pinged(f)
	case *http2.WindowUpdateFrame:
		return s.mayWrite(f)
	case *http2.DataFrame:
		return s.data(f)
	case *http2.MetaHeadersFrame:
		return s.headers(f)
	case *http2.GoAwayFrame:
		s.leaving = true
		if f.LastStreamID < streamID || f.ErrCode != http2.ErrCodeNo {
			return fmt.Errorf("the server says goodbye: %v", f.ErrCode)
		}
	case *http2.RSTStreamFrame:
		return fmt.Errorf("the server ended the stream: %v", f.ErrCode)
	case *http2.PushPromiseFrame:
		return errors.New("the server pushes")
	}
	return nil
}

func (s *Stream) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
		s.granted[onStream] += int64(v) - s.initial
		s.initial = int64(v)
	}
	s.settled = true
	s.put(s.framer.WriteSettingsAck())
	return s.flush()
}

func (s *Stream) pinged(f *http2.PingFrame) error {
	if f.IsAck() {
		return nil
	}
	s.put(s.framer.WritePing(true, f.Data))
	return s.flush()
}

func (s *Stream) mayWrite(f *http2.WindowUpdateFrame) error {
	at := onConnection
	if f.StreamID != 0 {
		at = onStream
	}
	s.granted[at] += int64(f.Increment)
	if s.granted[at] > ourGrant {
		return errors.New("the server grants more than there can be")
	}
	return nil
}

func (s *Stream) data(f *http2.DataFrame) error {
	if f.StreamID != streamID {
		return fmt.Errorf("data on stream %d", f.StreamID)
	}
	s.taken += f.Length
	s.answer = append(s.answer, f.Data()...)
	if f.StreamEnded() {
		return errors.New("the stream ended without a status")
	}
	return nil
}

// headers are the ones before the first answer, and those after the last one, which
// have the call's status.
func (s *Stream) headers(f *http2.MetaHeadersFrame) error {
	if v := f.PseudoValue("status"); v != "" && v != "200" {
		return fmt.Errorf("HTTP status %q", v)
	}
	if !f.StreamEnded() {
		return nil
	}
	var code, text string
	for _, h := range f.RegularFields() {
		switch h.Name {
		case "grpc-status":
			code = h.Value
		case "grpc-message":
			text = h.Value
		}
	}
	n, err := strconv.ParseUint(code, 10, 32)
	if err != nil {
		return errors.New("the stream ended without a status")
	}
	if n == uint64(codes.OK) {
		return io.EOF
	}
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	return status.Error(codes.Code(n), text)
}
