package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/remote/agent"
)

// Subprotocol is what is spoken on the WebSocket into an instance: the protocol of remote/agent, in
// binary messages whose borders mean nothing.
const Subprotocol = "hostler-agent"

// recheck is how often it is asked whether a request that takes long still may be made, and whether
// a lease that is used through us still is the caller's; that counts as its use.
const recheck = 2 * time.Second

// lastWords is how long a connection whose lease has ended, or that ends with the controller, stays
// for its client to be told why.
const lastWords = 2 * time.Second

// connections are the ways into instances.
func (s *server) connections(mux *http.ServeMux) {
	const path = "/v1/instances/{name}/connect"
	raw(s, mux, "GET "+path, s.connect)
	s.api.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "connect", Extensions: needs(auth.Use), Method: http.MethodGet, Path: path,
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
	})
}

// wayIn connects to the instance that a request names, for whoever may use it: by is then bound to
// its lease, so that a later one is not entered. Where that is refused the request has been
// answered, and the connection is nil.
func (s *server) wayIn(
	ctx context.Context, w http.ResponseWriter, r *http.Request, by compute.Who,
) (compute.Who, compute.ID, compute.Conn) {
	name := compute.ID(r.PathValue("name"))
	lease, err := s.Engine().Use(ctx, by, name)
	if err != nil {
		s.refuse(w, r, s.acted(ctx, by, err, name))
		return by, "", nil
	}
	if err := s.ownOnly(ctx, lease); err != nil {
		s.refuse(w, r, err)
		return by, "", nil
	}
	s.begins(ctx, lease.Project, string(lease.Instance))
	by.Lease = lease.ID // from here on it is this lease or none
	conn, err := s.Engine().Connect(ctx, by, lease.Instance)
	if err != nil {
		s.refuse(w, r, err)
		return by, "", nil
	}
	return by, lease.Instance, conn
}

func (s *server) connect(w http.ResponseWriter, r *http.Request) {
	if !isSocket(r) {
		s.refuse(w, r, errNoSocket)
		return
	}
	query := r.URL.Query()
	by, err := who(r.Context(), query.Get("any") == "true", query.Get("token"), auth.Use)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	by, name, conn := s.wayIn(ctx, w, r, by)
	if conn == nil {
		return
	}
	defer conn.Close()
	conn = turns{conn, s.Engine(), name}
	socket := s.accept(w, r, Subprotocol)
	if socket == nil {
		return
	}
	defer func() { _ = socket.CloseNow() }()
	if socket.Subprotocol() != Subprotocol {
		_ = socket.Close(websocket.StatusPolicyViolation, "the subprotocol is "+Subprotocol)
		return
	}
	socket.SetReadLimit(-1) // what is read is read in pieces
	watching := make(chan error, 1)
	go func() { watching <- s.watch(ctx, cancel, by, name) }()
	// the socket's: it is there for the last words
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
		s.log(ctx).Debug("a connection into an instance ended", "instance", name, "err", err)
		return
	}
	_ = socket.Close(websocket.StatusNormalClosure, "")
}

// ownOnly refuses a way into what shows, or is, the machine of the controller's own user to
// everybody but that user and the holder of that lease's own token: others who may act on anybody's
// leases could act as that user there.
func (s *server) ownOnly(ctx context.Context, lease compute.Lease) error {
	if p := asker(ctx); p.Own || p.Lease != "" || s.Private == nil {
		return nil
	}
	image := ""
	if i, err := s.Engine().Leaf(ctx, lease.Instance); err != nil {
		return err
	} else if i.Facts[compute.FactChosen] != "" {
		image = i.Facts[compute.FactImage]
	}
	if !s.Private(lease.Source, "") && (image == "" || !s.Private(lease.Source, image)) {
		return nil
	}
	return &compute.Error{
		ID: lease.Instance, Kind: compute.ErrDenied,
		Err: errors.New("it shows the files of the controller's own user, so it is for that user alone"),
	}
}

// turns is a connection whose commands wait for their turn, where the source limits how many run at
// once. Who only comes back to one that runs does not wait: it has begun, and may be what he would
// wait for. Nor does what looks or copies beside them.
type turns struct {
	compute.Conn
	engine Engine
	name   compute.ID
}

func (c turns) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	if cmd.Aside || cmd.Hold != nil && cmd.Hold.Attach {
		return c.Conn.Run(ctx, cmd)
	}
	free, err := c.engine.Slot(ctx, c.name, func(ctx context.Context) (int, error) { return compute.Detached(ctx, c.Conn) })
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

// Unwrap gives the connection itself.
func (c turns) Unwrap() compute.Conn { return c.Conn }

// watch ends a connection whose lease has ended, and says why.
func (s *server) watch(ctx context.Context, end context.CancelCauseFunc, by compute.Who, name compute.ID) error {
	t := time.NewTicker(recheck)
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

// leaseOver asks whether a lease that is used through us is the caller's no longer, and returns
// why; nil: not that is known. It counts as the lease's use.
func (s *server) leaseOver(ctx context.Context, by compute.Who, name compute.ID) error {
	_, err := s.Engine().Use(ctx, by, name)
	if errors.Is(err, compute.ErrConflict) || errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrDenied) {
		return err
	}
	return nil
}
