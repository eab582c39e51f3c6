package connect

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server/stream"
)

// terminal is a shell and the browser that shows it.
type terminal struct {
	socket *websocket.Conn
	conn   compute.Conn
	sizes  chan compute.Size
	window *window
}

// run runs a shell until it ends or the browser has gone. It returns what the browser is told, and
// the connection's own error. life is the socket's context.
func (t *terminal) run(life, ctx context.Context, size compute.Size) (api.TerminalEnd, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.sizes, t.window = make(chan compute.Size, 1), newWindow(terminalWindow)
	stop := context.AfterFunc(ctx, t.window.end)
	defer stop()
	t.socket.SetReadLimit(terminalMessage)
	keys := newKeys()
	defer keys.end()
	// Ends with the socket, which the caller closes after run: the end of a read ends the socket,
	// and there is more to say.
	go func() {
		t.hear(life, keys)
		keys.end()
		cancel() // the browser has gone, so the shell ends
	}()
	exit, err := t.conn.Run(
		ctx,
		&compute.Command{
			Stdin: keys, Stdout: output{ctx, t}, TTY: &size, Term: "xterm-256color", Resize: t.sizes,
			Env: map[string]string{"COLORTERM": "truecolor"},
		},
	)
	end := api.TerminalEnd{Status: exit.Status(), Signal: exit.Signal, Reason: exit.Reason}
	if err != nil {
		end = api.TerminalEnd{Status: -1, Reason: api.Text(err)}
	}
	return end, err
}

// hear handles the browser's messages until it has gone.
func (t *terminal) hear(ctx context.Context, typed *keys) {
	for {
		kind, text, err := t.socket.Read(ctx)
		if err != nil || kind != websocket.MessageBinary || len(text) == 0 {
			return
		}
		what, text := text[0], text[1:]
		switch {
		case what == terminalInput:
			if !typed.add(text) {
				return
			}
		case what == terminalSize && len(text) == 4:
			size := compute.Size{Rows: int(binary.BigEndian.Uint16(text)), Cols: int(binary.BigEndian.Uint16(text[2:]))}
			if size.Rows >= 1 && size.Rows <= mostRows && size.Cols >= 1 && size.Cols <= mostColumns {
				stream.Newest(t.sizes, size)
			}
		case what == terminalShown && len(text) == 4:
			t.window.shown(int(binary.BigEndian.Uint32(text)))
		}
	}
}

// output sends the shell's output, no faster than the browser shows it.
type output struct {
	ctx context.Context
	t   *terminal
}

func (o output) Write(text []byte) (int, error) {
	for written := 0; written < len(text); {
		n, err := o.t.window.take(min(terminalPiece, len(text)-written))
		if err != nil {
			return written, err
		}
		message := append([]byte{terminalOutput}, text[written:written+n]...)
		// a reader may be gone without saying so
		ctx, cancel := context.WithTimeout(o.ctx, time.Minute)
		err = o.t.socket.Write(ctx, websocket.MessageBinary, message)
		cancel()
		if err != nil {
			return written, err
		}
		written += n
	}
	return len(text), nil
}

// window limits the bytes that are sent and not shown yet.
type window struct {
	mu   sync.Mutex
	free int
	size int
	over bool
	more *sync.Cond // free or over has changed
}

func newWindow(size int) *window {
	w := &window{free: size, size: size}
	w.more = sync.NewCond(&w.mu)
	return w
}

// take waits for room, and takes at most most bytes of it.
func (w *window) take(most int) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.free == 0 && !w.over {
		w.more.Wait()
	}
	if w.over {
		return 0, io.ErrClosedPipe
	}
	n := min(most, w.free)
	w.free -= n
	return n, nil
}

// shown gives room back.
func (w *window) shown(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free = min(w.size, w.free+n)
	w.more.Broadcast()
}

// end wakes all waiters for good.
func (w *window) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.more.Broadcast()
}

// keys are typed bytes that the shell has not read. They are buffered, so that hear can go on to
// read the messages that output was shown.
type keys struct {
	mu   sync.Mutex
	text bytes.Buffer
	over bool
	more *sync.Cond // text or over has changed
}

func newKeys() *keys {
	k := &keys{}
	k.more = sync.NewCond(&k.mu)
	return k
}

// add adds typed bytes; false: there are too many.
func (k *keys) add(text []byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.text.Len()+len(text) > terminalKeys {
		return false
	}
	_, _ = k.text.Write(text)
	k.more.Broadcast()
	return true
}

// Read waits for typed bytes.
func (k *keys) Read(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.text.Len() == 0 && !k.over {
		k.more.Wait()
	}
	return k.text.Read(p) // io.EOF when it is over
}

// end says that nothing more will be typed.
func (k *keys) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.over = true
	k.more.Broadcast()
}
