package agentcmd

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// port is a character device as a place, to which one connection comes after the other.
type port struct {
	p       *agent.Port
	changed chan os.Signal // the device says that somebody has come or gone
	once    sync.Once
	closed  chan struct{}
}

func openPort(name string) (Place, error) {
	f, err := openDevice(name)
	if err != nil {
		return nil, &compute.Error{Op: "agent", Kind: compute.ErrFailed, Err: err}
	}
	p := &port{p: agent.NewPort(f), changed: make(chan os.Signal, 1), closed: make(chan struct{})}
	signal.Notify(p.changed, syscall.SIGIO)
	return p, nil
}

// A device at whose other end nobody is says so at each read. Where it does not tell by a signal
// that somebody has come, we look: at once where somebody has just gone, and more and more seldom.
const (
	soonest = 2 * time.Millisecond
	latest  = 250 * time.Millisecond
)

// Accept waits until the other side of the port is open. It tries again at SIGIO and after
// growing pauses, and returns io.EOF once closed.
func (p *port) Accept() (io.ReadWriteCloser, error) {
	for pause := soonest; ; pause = min(2*pause, latest) {
		c, err := p.p.Accept()
		select {
		case <-p.closed:
			return nil, io.EOF
		default:
		}
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.EAGAIN) {
			return nil, err
		}
		select {
		case <-p.changed:
			pause = soonest
		case <-time.After(pause):
		case <-p.closed:
			return nil, io.EOF
		}
	}
}

func (p *port) Close() error {
	p.once.Do(func() {
		close(p.closed)
		signal.Stop(p.changed)
	})
	return p.p.Close()
}
