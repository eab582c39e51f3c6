// Package connect lets remote callers into instances, by WebSockets: programs by the protocol of
// remote/agent, and browsers by a terminal. A connection ends with its lease.
package connect

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/route"
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/remote/agent"
)

// Subprotocol is the protocol of the WebSocket into an instance: that of remote/agent, in binary
// messages whose boundaries mean nothing.
const Subprotocol = "hostler-agent"

// lastWords is how long a connection stays open after its lease or the controller has ended, so
// that the client can be told why.
const lastWords = 2 * time.Second

// Sockets serve the WebSockets into instances.
type Sockets struct {
	Engine func() Engine
	Rules  *access.Rules
	Audit  *access.Audit
	Errors request.Errors
}

// Engine connects to the instances that are leased.
type Engine interface {
	Use(ctx context.Context, who compute.Who, name compute.ID) (compute.Lease, error)
	Connect(ctx context.Context, who compute.Who, name compute.ID) (compute.Conn, error)
	// Slot waits for one of the slots that the instance's source has for concurrent commands. The
	// slot is taken until free is called. detached counts running commands that hold no slot.
	Slot(ctx context.Context, name compute.ID, detached func(context.Context) (int, error)) (free func(), err error)
}

// Add adds the routes.
func (s *Sockets) Add(t *route.Table) {
	t.AddRaw(&huma.Operation{
		OperationID: "connect", Extensions: route.Needs(auth.Use), Method: http.MethodGet,
		Path:    "/v1/instances/{name}/connect",
		Summary: "A way into an instance", Tags: []string{"instances"},
		Description: "A WebSocket of the subprotocol " + Subprotocol + ": commands, terminals, copies and forwarding, as hostler's own agent speaks them. It ends with the lease.",
		Parameters: []*huma.Param{
			{
				Name: "name", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString},
				Description: "the instance's name, or its lease's",
			},
			{
				Name: "any", In: "query", Schema: &huma.Schema{Type: huma.TypeBoolean},
				Description: "whoever has the lease; for administrators",
			},
			{
				Name: "token", In: "query", Schema: &huma.Schema{Type: huma.TypeString},
				Description: "the lease that the caller holds, where he acts by that alone",
			},
		},
		Responses: map[string]*huma.Response{"101": {Description: "the protocol follows"}, "default": {Description: "an error", Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: &huma.Schema{Type: huma.TypeObject}},
		}}},
	}, s.connect)
	t.AddRaw(terminalOperation(), s.terminal)
}

// wayIn connects to the instance that a request names. It binds by to the instance's current lease,
// so that a later lease is never entered. If conn is nil, the request was refused and has been
// answered.
func (s *Sockets) wayIn(
	ctx context.Context, w http.ResponseWriter, r *http.Request, by compute.Who,
) (compute.Who, compute.ID, compute.Conn) {
	name := compute.ID(r.PathValue("name"))
	lease, err := s.Engine().Use(ctx, by, name)
	if err != nil {
		s.Errors.Refuse(w, r, s.Rules.Acted(ctx, by, err, name))
		return by, "", nil
	}
	if err := s.Rules.MayEnter(ctx, lease); err != nil {
		s.Errors.Refuse(w, r, err)
		return by, "", nil
	}
	s.Audit.Begins(ctx, lease.Project, string(lease.Instance))
	by.Lease = lease.ID // bind to this lease
	conn, err := s.Engine().Connect(ctx, by, lease.Instance)
	if err != nil {
		s.Errors.Refuse(w, r, err)
		return by, "", nil
	}
	return by, lease.Instance, conn
}

// connect opens a WebSocket into an instance and serves the agent's protocol on it.
func (s *Sockets) connect(w http.ResponseWriter, r *http.Request) {
	if !request.WantsSocket(r) {
		s.Errors.Refuse(w, r, errNoSocket)
		return
	}
	query := r.URL.Query()
	by, err := access.Who(r.Context(), query.Get("any") == "true", query.Get("token"), auth.Use)
	if err != nil {
		s.Errors.Refuse(w, r, err)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	by, name, conn := s.wayIn(ctx, w, r, by)
	if conn == nil {
		return
	}
	defer conn.Close()
	conn = slots{conn, s.Engine(), name}
	socket := s.accept(w, r, Subprotocol)
	if socket == nil {
		return
	}
	defer func() { _ = socket.CloseNow() }()
	if socket.Subprotocol() != Subprotocol {
		_ = socket.Close(websocket.StatusPolicyViolation, "the subprotocol is "+Subprotocol)
		return
	}
	socket.SetReadLimit(-1) // messages are read in pieces
	watching := make(chan error, 1)
	go func() { watching <- s.watch(ctx, cancel, by, name) }()
	// the socket outlives the request, for the last words
	life, over := context.WithCancel(context.WithoutCancel(ctx))
	defer over()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, over) })()
	err = agent.Serve(ctx, websocket.NetConn(life, socket, websocket.MessageBinary), conn, agent.Options{})
	cancel(nil)
	if ended := <-watching; ended != nil {
		_ = socket.Close(websocket.StatusPolicyViolation, "the lease has ended")
		return
	}
	if err != nil {
		s.Errors.LogOf(ctx).Debug("a connection into an instance ended", "instance", name, "err", err)
		return
	}
	_ = socket.Close(websocket.StatusNormalClosure, "")
}

// slots is a connection whose commands wait for a free slot, where the source limits how many run
// at once. Attaching to a running command does not wait, as that command may hold the slot.
// Commands with Aside, such as copies, do not wait either.
type slots struct {
	compute.Conn
	engine Engine
	name   compute.ID
}

func (c slots) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	if cmd.Aside || cmd.Hold != nil && cmd.Hold.Attach {
		return c.Conn.Run(ctx, cmd)
	}
	free, err := c.engine.Slot(ctx, c.name, func(ctx context.Context) (int, error) { return provider.Detached(ctx, c.Conn) })
	if err != nil {
		return compute.Exit{}, err
	}
	defer free()
	ctx, span := trace.Start(ctx, "run", trace.Attr{Key: "hostler.instance", Value: string(c.name)})
	exit, err := c.Conn.Run(ctx, cmd)
	span.Set(trace.Attr{Key: "process.exit.code", Value: exit.Status()})
	span.End(err)
	return exit, err
}

// Unwrap returns the connection below.
func (c slots) Unwrap() compute.Conn { return c.Conn }

// watch ends a connection when its lease has ended, and returns why.
func (s *Sockets) watch(ctx context.Context, end context.CancelCauseFunc, by compute.Who, name compute.ID) error {
	t := time.NewTicker(access.Recheck)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if err := s.leaseOver(ctx, by, name); err != nil {
			end(err)
			return err
		}
	}
}

// leaseOver returns why the caller no longer has the lease, or nil if it has, or if that is not
// known. The check counts as use of the lease.
func (s *Sockets) leaseOver(ctx context.Context, by compute.Who, name compute.ID) error {
	_, err := s.Engine().Use(ctx, by, name)
	if errors.Is(err, compute.ErrConflict) || errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrDenied) {
		return err
	}
	return nil
}
