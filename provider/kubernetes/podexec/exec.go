// Package podexec runs programs in containers of pods, by the exec of Kubernetes alone: one program
// with its streams, a script, or the commands of a compute.Conn.
package podexec

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

// Container is a container of a pod, in which programs can be started.
type Container struct {
	Pod, Name string
	// Call gives the cluster's configuration and the pod's namespace to a function that makes one
	// exec. It may repeat what the cluster refused.
	Call func(exec func(config *rest.Config, namespace string) error) error
}

// Start runs a program with the given streams until it ends. It uses exec over WebSocket, or SPDY
// where a proxy or an old API server needs it. A status other than 0 is a utilexec.CodeExitError.
// When ctx ends, the streams end, but the program may live on.
func (in Container) Start(ctx context.Context, args []string, o remotecommand.StreamOptions) error {
	// a refused user has consumed nothing of the streams
	return in.Call(func(config *rest.Config, namespace string) error {
		return in.stream(ctx, config, namespace, args, o)
	})
}

// stream makes one exec, over WebSocket and then over SPDY. It reports the clearer of the two
// refusals.
func (in Container) stream(
	ctx context.Context, config *rest.Config, namespace string, args []string, o remotecommand.StreamOptions,
) error {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return err
	}
	at := base.JoinPath("api", "v1", "namespaces", namespace, "pods", in.Pod, "exec")
	query := url.Values{"container": {in.Name}, "command": args}
	for key, on := range map[string]bool{
		"stdin": o.Stdin != nil, "stdout": o.Stdout != nil, "stderr": o.Stderr != nil && !o.Tty, "tty": o.Tty,
	} {
		if on {
			query.Set(key, "true")
		}
	}
	at.RawQuery = query.Encode()
	web, err := remotecommand.NewWebSocketExecutor(config, "GET", at.String())
	if err != nil {
		return err
	}
	old, err := remotecommand.NewSPDYExecutor(config, "POST", at)
	if err != nil {
		return err
	}
	// what the API server answered to the first try; the second gives only words
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
	// the second refusal names the right that is missing, the first not always
	if _, said, ok := strings.Cut(err.Error(), "unable to upgrade connection: "); ok {
		refused.ErrStatus.Message = said
		return refused
	}
	if httpstream.IsUpgradeFailure(err) {
		return refused
	}
	return err
}

// Say runs a script of sh to its end and returns its output, bounded. API servers report success
// when a stream is cut, so the script itself confirms its end.
func (in Container) Say(ctx context.Context, input io.Reader, script string, args ...string) (string, error) {
	var out, said bounded
	end := shell.Nonce()
	script = `trap "printf ` + end + `" EXIT;` + script
	err := in.Start(
		ctx, slices.Concat([]string{"sh", "-c", script, "sh"}, args),
		remotecommand.StreamOptions{Stdin: input, Stdout: &out, Stderr: &said},
	)
	var exit utilexec.CodeExitError
	if errors.As(err, &exit) {
		err = &StatusError{exit.Code, OneLine(said.String())}
	}
	text, whole := strings.CutSuffix(out.String(), end)
	if err == nil && !whole {
		err = &compute.Error{Kind: compute.ErrLost, Err: errCut}
	}
	return strings.TrimSpace(text), err
}

// StatusError is the error of a program that ended with a status other than 0.
type StatusError struct {
	status int
	said   string
}

func (e *StatusError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("status %d: %s", e.status, e.said), ": ")
}

// bounded keeps the first bytes that are written to it.
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

// Pipe is a program's standard streams. Write feeds its input, and Read returns its output.
type Pipe struct {
	*io.PipeReader // its output
	in             *io.PipeWriter
	stop           context.CancelFunc
	ended          chan struct{} // closed when the program has ended

	err  bounded
	mu   sync.Mutex
	end  error
	once sync.Once
}

// Open starts a program. Its streams stay open until Close, even if ctx ends later.
func (in Container) Open(ctx context.Context, args []string) *Pipe {
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	outR, outW := io.Pipe()
	inR, inW := io.Pipe()
	p := &Pipe{PipeReader: outR, in: inW, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		err := in.Start(life, args, remotecommand.StreamOptions{Stdin: inR, Stdout: outW, Stderr: &p.err})
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

// Write feeds the program's input.
func (p *Pipe) Write(b []byte) (int, error) { return p.in.Write(b) }

// Stop ends the streams, and does not wait for the program's end.
func (p *Pipe) Stop() { p.stop() }

// Close ends the streams, and so the program.
func (p *Pipe) Close() error {
	p.once.Do(func() {
		_ = p.in.Close()
		p.stop()
		_ = p.PipeReader.Close()
	})
	<-p.ended
	return nil
}

// Said returns the program's standard error, or why it could not be started. "": nothing.
func (p *Pipe) Said() string {
	p.mu.Lock()
	end := p.end
	p.mu.Unlock()
	text := p.err.String()
	if end != nil && !errors.Is(end, context.Canceled) {
		text = strings.TrimSpace(text + " " + end.Error())
	}
	return OneLine(text)
}

// Refused returns the API server's answer if it refused to start the program, else nil.
func (p *Pipe) Refused() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var status apierrors.APIStatus
	if errors.As(p.end, &status) {
		return p.end
	}
	return nil
}

// Missing reports whether a start failed because there is no such program.
func Missing(err error) bool {
	var exit utilexec.CodeExitError
	var status *StatusError
	switch {
	case errors.As(err, &exit):
		return exit.Code == 127 || exit.Code == 126
	case errors.As(err, &status):
		return status.status == 127 || status.status == 126
	}
	return err != nil && strings.Contains(err.Error(), "executable file not found")
}

// OneLine joins the lines of a text for people, and shortens it.
func OneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 1000 {
		text = strings.ToValidUTF8(text[:1000], "") + "…"
	}
	return text
}
