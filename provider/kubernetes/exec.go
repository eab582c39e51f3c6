package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/shell"
)

// inside is a container of a pod that commands can be started in.
type inside struct {
	c         *cluster
	pod, name string
}

// start runs a program there with the given streams to its end, by exec over WebSocket, or SPDY
// where a proxy or an old API server does not know that. A status that is not 0 is a
// utilexec.CodeExitError. When ctx ends, the streams do; the program may live on.
func (in inside) start(ctx context.Context, args []string, o remotecommand.StreamOptions) error {
	return in.c.as(func(s *session) error { // who is not known has used nothing of the streams
		err := in.stream(ctx, s, args, o)
		// that streams of long ago have ended, as they do where an API server goes too, says
		// nothing of now
		if err != nil {
			in.c.heard(err)
		}
		return err
	})
}

func (in inside) stream(ctx context.Context, s *session, args []string, o remotecommand.StreamOptions) error {
	base, _, err := rest.DefaultServerUrlFor(s.config)
	if err != nil {
		return err
	}
	at := base.JoinPath("api", "v1", "namespaces", in.c.namespace, "pods", in.pod, "exec")
	query := url.Values{"container": {in.name}, "command": args}
	for key, on := range map[string]bool{
		"stdin": o.Stdin != nil, "stdout": o.Stdout != nil, "stderr": o.Stderr != nil && !o.Tty, "tty": o.Tty,
	} {
		if on {
			query.Set(key, "true")
		}
	}
	at.RawQuery = query.Encode()
	web, err := remotecommand.NewWebSocketExecutor(s.config, "GET", at.String())
	if err != nil {
		return err
	}
	old, err := remotecommand.NewSPDYExecutor(s.config, "POST", at)
	if err != nil {
		return err
	}
	// what the API server said to the first; of the second only words are to be had
	var refused *apierrors.StatusError
	both, err := remotecommand.NewFallbackExecutor(web, old, func(err error) bool {
		var upgrade *httpstream.UpgradeFailureError
		if errors.As(err, &upgrade) && errors.As(upgrade.Cause, &refused) && refused.Status().Code == http.StatusUnauthorized {
			return false
		}
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return err
	}
	err = both.StreamWithContext(ctx, o)
	if err == nil || refused == nil {
		return err
	}
	// what may not be done it says, and the first refusal does not always
	if _, said, ok := strings.Cut(err.Error(), "unable to upgrade connection: "); ok {
		refused.ErrStatus.Message = said
		return refused
	}
	if httpstream.IsUpgradeFailure(err) {
		return refused
	}
	return err
}

// say runs a script of sh to its end and returns what it printed, bounded. API servers say success
// when they or the stream are cut, so the script says itself that it has come to its end.
func (in inside) say(ctx context.Context, input io.Reader, script string, args ...string) (string, error) {
	var out, said bounded
	end := shell.Nonce()
	script = `trap "printf ` + end + `" EXIT;` + script
	err := in.start(
		ctx, slices.Concat([]string{"sh", "-c", script, "sh"}, args),
		remotecommand.StreamOptions{Stdin: input, Stdout: &out, Stderr: &said},
	)
	var exit utilexec.CodeExitError
	if errors.As(err, &exit) {
		err = &statusError{exit.Code, words("", said.String())}
	}
	text, whole := strings.CutSuffix(out.String(), end)
	if err == nil && !whole {
		err = &compute.Error{Kind: compute.ErrLost, Err: errCut}
	}
	return strings.TrimSpace(text), err
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

// said tells what the program left on its standard error, or why it could not be started; "":
// nothing.
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

// refused returns what the API server said when it did not let the program be started; nil: it did.
func (p *pipe) refused() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var status apierrors.APIStatus
	if errors.As(p.end, &status) {
		return p.end
	}
	return nil
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
