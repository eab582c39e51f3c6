package guest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// serve answers on the machine's ports until ctx ends, and does with conn what clients ask for. It
// waits for ports that are not there yet.
func serve(ctx context.Context, conn compute.Conn) error {
	sys, err := unix.Open("/sys", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/sys: %w", err)
	}
	dev, err := unix.Open("/dev", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/dev: %w", err)
	}
	return devices{sys, dev}.serve(ctx, conn)
}

// serve attends to each port as it appears. It looks for new ones ever less often, at last once
// a second.
func (d devices) serve(ctx context.Context, conn compute.Conn) error {
	var ports sync.WaitGroup
	defer ports.Wait()
	var self sync.Mutex
	served := map[int]bool{}
	for pause := 10 * time.Millisecond; len(served) < Ports; pause = min(pause*5/4, time.Second) {
		for n, name := range d.find() {
			if !served[n] {
				served[n] = true
				ports.Go(func() { d.attend(ctx, name, conn, &self) })
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// attend serves one client after the other on a port. self is held while the machine's identity
// changes.
func (d devices) attend(ctx context.Context, name string, conn compute.Conn, self *sync.Mutex) {
	for ctx.Err() == nil {
		p, err := openPort(d.dev, name)
		if err == nil {
			err = converse(ctx, p, conn, self)
			_ = p.Close()
		}
		if err != nil && ctx.Err() == nil {
			// the port is in use, or the client breaks the rules
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// converse serves the next client.
func converse(ctx context.Context, p *port, conn compute.Conn, self *sync.Mutex) error {
	defer context.AfterFunc(ctx, func() { _ = p.Close() })()
	if err := p.await(); err != nil {
		return err
	}
	if _, err := io.WriteString(p, greeting); err != nil {
		return err
	}
	r := bufio.NewReaderSize(p, 32<<10)
	becomes := false
	defer func() {
		// collect now, while no client waits, and not in the middle of a user's first command
		if becomes {
			runtime.GC()
		}
	}()
	for {
		head, err := r.Peek(len(identify))
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if string(head) != identify {
			return agent.Serve(ctx, &joined{r, p}, conn, agent.Options{})
		}
		_, _ = r.Discard(len(identify))
		b, err := unframe(r)
		if err != nil {
			return err
		}
		var id Identity
		answer := ""
		if err := id.decode(b); err != nil {
			answer = err.Error()
		} else {
			self.Lock() // an earlier client may have gone in the middle of it
			if err := id.take("/"); err != nil {
				answer = err.Error()
			}
			self.Unlock()
		}
		becomes = becomes || id.MachineID != ""
		if _, err := p.Write(frame([]byte(answer[:min(len(answer), 4<<10)]))); err != nil {
			return err
		}
	}
}

// joined is a port with the bytes that were already read of it.
type joined struct {
	r *bufio.Reader
	*port
}

func (j *joined) Read(b []byte) (int, error) { return j.r.Read(b) }
