package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"
)

// inside is a container of a pod that commands can be started in.
type inside struct {
	s                    *session
	namespace, pod, name string
}

// start runs a program there with the given streams to its end, by exec over WebSocket, or SPDY where a proxy or an old API server does not know that. A status
// that is not 0 is a utilexec.CodeExitError. When ctx ends, the streams do; the program may live on.
func (in inside) start(ctx context.Context, args []string, o remotecommand.StreamOptions) error {
	base, _, err := rest.DefaultServerUrlFor(in.s.config)
	if err != nil {
		return err
	}
	at := base.JoinPath("api", "v1", "namespaces", in.namespace, "pods", in.pod, "exec")
	query := url.Values{"container": {in.name}, "command": args}
	for key, on := range map[string]bool{"stdin": o.Stdin != nil, "stdout": o.Stdout != nil, "stderr": o.Stderr != nil && !o.Tty, "tty": o.Tty} {
		if on {
			query.Set(key, "true")
		}
	}
	at.RawQuery = query.Encode()
	web, err := remotecommand.NewWebSocketExecutor(in.s.config, "GET", at.String())
	if err != nil {
		return err
	}
	old, err := remotecommand.NewSPDYExecutor(in.s.config, "POST", at)
	if err != nil {
		return err
	}
	both, err := remotecommand.NewFallbackExecutor(web, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return err
	}
	return both.StreamWithContext(ctx, o)
}

// say runs a program to its end and returns what it printed, bounded.
func (in inside) say(ctx context.Context, input io.Reader, args ...string) (string, error) {
	var out, said bounded
	err := in.start(ctx, args, remotecommand.StreamOptions{Stdin: input, Stdout: &out, Stderr: &said})
	var exit utilexec.CodeExitError
	if errors.As(err, &exit) {
		err = &statusError{exit.Code, words("", said.String())}
	}
	return out.String(), err
}

// statusError is a program that ended with a status of its own.
type statusError struct {
	status int
	said   string
}

func (e *statusError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("status %d: %s", e.status, e.said), ": ")
}

// bounded keeps the first of what is written.
type bounded struct {
	mu sync.Mutex
	b  []byte
}

func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b = append(b.b, p[:min(len(p), 4096-len(b.b))]...)
	return len(p), nil
}

func (b *bounded) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.TrimSpace(string(b.b))
}

// pipe is a program's standard streams: what is written is its input, what is read its output.
type pipe struct {
	*io.PipeReader // of its output
	in             *io.PipeWriter
	stop           context.CancelFunc
	ended          chan struct{} // closed when it has ended

	err  bounded
	mu   sync.Mutex
	end  error
	once sync.Once
}

// open starts a program whose streams stay open until Close, whatever becomes of ctx after that.
func (in inside) open(ctx context.Context, args []string) *pipe {
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	outR, outW := io.Pipe()
	inR, inW := io.Pipe()
	p := &pipe{PipeReader: outR, in: inW, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		err := in.start(life, args, remotecommand.StreamOptions{Stdin: inR, Stdout: outW, Stderr: &p.err})
		p.mu.Lock()
		p.end = err
		p.mu.Unlock()
		if err == nil {
			err = io.EOF
		}
		_ = outW.CloseWithError(err)
		_ = inR.CloseWithError(io.ErrClosedPipe)
	}()
	return p
}

func (p *pipe) Write(b []byte) (int, error) { return p.in.Write(b) }

// Close ends the streams, and with that the program.
func (p *pipe) Close() error {
	p.once.Do(func() {
		_ = p.in.Close()
		p.stop()
		_ = p.PipeReader.Close()
	})
	<-p.ended
	return nil
}

// said tells what the program left on its standard error, or why it could not be started; "": nothing.
func (p *pipe) said() string {
	p.mu.Lock()
	end := p.end
	p.mu.Unlock()
	text := p.err.String()
	if end != nil && !errors.Is(end, context.Canceled) {
		text = strings.TrimSpace(text + " " + end.Error())
	}
	return words("", text)
}

// missing reports whether an error of a start says that there is no such program.
func missing(err error) bool {
	var exit utilexec.CodeExitError
	var status *statusError
	switch {
	case errors.As(err, &exit):
		return exit.Code == 127 || exit.Code == 126
	case errors.As(err, &status):
		return status.status == 127 || status.status == 126
	}
	return err != nil && strings.Contains(err.Error(), "executable file not found")
}
