package chaos

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The wire is a switch of Ethernet frames between the parts. It is a process in
// a namespace of its own and does what tc's netem would, which not every kernel
// has: it drops what one part sends another, and holds up what a part sends and gets.
// Commands come as lines: "drop A B", "delay A 100ms", "heal".

// port is one part's end.
type port struct {
	name  string
	fd    int
	delay time.Duration // guarded by wire.mu
	late  chan heldUp
}

type heldUp struct {
	due   time.Time
	frame []byte
}

type wire struct {
	mu      sync.Mutex
	ports   []*port
	learned map[[6]byte]*port
	dropped map[[2]*port]bool
}

// maxFrame is that of a packet which the kernel has not cut into segments yet,
// with the header that says so.
const (
	maxFrame = 70 << 10
	lenVnet  = 10
)

// runWire is the process: args are the names of the network devices.
func runWire(args []string, commands io.Reader) error {
	w := &wire{learned: map[[6]byte]*port{}, dropped: map[[2]*port]bool{}}
	for _, name := range args {
		fd, err := openDevice(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		w.ports = append(w.ports, &port{name: name, fd: fd, late: make(chan heldUp, 1<<14)})
	}
	for _, p := range w.ports {
		go w.carry(p)
		go p.sendLate()
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(commands)
	for lines.Scan() {
		if err := w.command(strings.Fields(lines.Text())); err != nil {
			return err
		}
		fmt.Println("done")
	}
	return lines.Err()
}

func openDevice(name string) (int, error) {
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return 0, err
	}
	for _, option := range []int{unix.PACKET_VNET_HDR, unix.PACKET_IGNORE_OUTGOING} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, option, 1); err != nil {
			return 0, err
		}
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr); err != nil {
		return 0, err
	}
	return fd, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: int(ifr.Uint32())})
}

func (w *wire) carry(from *port) {
	buf := make([]byte, maxFrame)
	for {
		n, _, err := unix.Recvfrom(from.fd, buf, 0)
		if err != nil && err != unix.EINTR && err != unix.ENETDOWN {
			fmt.Fprintln(os.Stderr, "wire:", from.name, err)
			return
		}
		if err == nil && n > lenVnet+12 {
			w.frame(from, buf[:n])
		}
	}
}

func (w *wire) frame(from *port, frame []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	to, source := [6]byte(frame[lenVnet:]), [6]byte(frame[lenVnet+6:])
	w.learned[source] = from
	for _, p := range w.ports {
		known := w.learned[to]
		if p == from || known != nil && known != p || w.dropped[[2]*port{from, p}] {
			continue
		}
		if delay := from.delay + p.delay; delay > 0 {
			select {
			case p.late <- heldUp{time.Now().Add(delay), append([]byte(nil), frame...)}:
			default: // a queue that is full loses frames, as queues do
			}
			continue
		}
		_, _ = unix.Write(p.fd, frame)
	}
}

func (p *port) sendLate() {
	for h := range p.late {
		time.Sleep(time.Until(h.due))
		_, _ = unix.Write(p.fd, h.frame)
	}
}

func (w *wire) command(words []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case len(words) == 3 && words[0] == "drop":
		a, b := w.port(words[1]), w.port(words[2])
		w.dropped[[2]*port{a, b}], w.dropped[[2]*port{b, a}] = true, true
	case len(words) == 3 && words[0] == "delay":
		d, err := time.ParseDuration(words[2])
		w.port(words[1]).delay = d
		return err
	case len(words) == 1 && words[0] == "heal":
		clear(w.dropped)
		for _, p := range w.ports {
			p.delay = 0
		}
	default:
		return fmt.Errorf("wire: command %q", words)
	}
	return nil
}

func (w *wire) port(name string) *port {
	for _, p := range w.ports {
		if p.name == name {
			return p
		}
	}
	panic("chaos: no port " + name)
}
