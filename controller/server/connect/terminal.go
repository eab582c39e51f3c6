package connect

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/coder/websocket"
	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/route"
	"github.com/hostler-project/hostler/controller/server/stream"
)

// TerminalProtocol is the protocol of a terminal's WebSocket. Messages are binary. Their first byte
// is the kind:
//
//	0 input    from the browser: what was typed
//	1 size     from the browser: rows and columns, two bytes each, big-endian
//	2 shown    from the browser: bytes of output shown since the last such message, four bytes
//	3 output   to the browser
//	4 end      to the browser, the last message: a JSON object, api.TerminalEnd
//
// Output pauses while terminalWindow bytes of it have not been shown.
const TerminalProtocol = "hostler-terminal"

const (
	terminalInput = iota
	terminalSize
	terminalShown
	terminalOutput
	terminalEnd

	// bytes of output that are sent and not shown; a browser draws as much in a moment
	terminalWindow  = 256 << 10
	terminalMessage = 1 << 20  // the longest message of a browser: a large paste
	terminalPiece   = 32 << 10 // bytes of output in a message
	terminalKeys    = 8 << 20  // bytes that may be typed before the shell reads
	mostRows        = 1000
	mostColumns     = 1000
)

// terminalOperation describes the route of terminals for browsers.
func terminalOperation() *huma.Operation {
	number := &huma.Schema{Type: huma.TypeInteger}
	return &huma.Operation{
		OperationID: "terminal", Method: http.MethodGet, Path: "/v1/instances/{name}/terminal",
		Summary: "A login shell on an instance, in a terminal", Tags: []string{"instances"},
		Extensions: route.Needs(auth.Use),
		Description: "A WebSocket of the subprotocol " + TerminalProtocol + ", for browsers: binary messages, of which the first byte says what follows. To the controller: 0 what was typed; " +
			"1 rows and columns of the terminal, two bytes each, the higher first; 2 how many bytes of output were shown since the last time, four bytes. From it: 3 output; " +
			"4 how it ended, as JSON, the last. It ends with the lease. Pages of other origins are refused.",
		Parameters: []*huma.Param{
			{
				Name: "name", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString},
				Description: "the instance's name, or its lease's",
			},
			{Name: "rows", In: "query", Schema: number, Description: "of the terminal; 24 unless it is said"},
			{Name: "columns", In: "query", Schema: number, Description: "of the terminal; 80 unless it is said"},
			{
				Name: "any", In: "query", Schema: &huma.Schema{Type: huma.TypeBoolean},
				Description: "whoever has the lease; for administrators",
			},
		},
		Responses: map[string]*huma.Response{"101": {Description: "the protocol follows"}, "default": {Description: "an error", Content: map[string]*huma.MediaType{
			api.ProblemType: {Schema: &huma.Schema{Type: huma.TypeObject}},
		}}},
	}
}

// terminal connects a browser to a login shell on an instance. Its checks are those of connect.
func (s *Sockets) terminal(w http.ResponseWriter, r *http.Request) {
	if !request.WantsSocket(r) {
		s.Errors.Refuse(w, r, errNoSocket)
		return
	}
	query := r.URL.Query()
	size, err := terminalOf(query.Get("rows"), query.Get("columns"))
	if err != nil {
		s.Errors.Refuse(w, r, err)
		return
	}
	by, err := access.Who(r.Context(), query.Get("any") == "true", "", auth.Use)
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
	socket := s.accept(w, r, TerminalProtocol)
	if socket == nil {
		return
	}
	defer func() { _ = socket.CloseNow() }()
	if socket.Subprotocol() != TerminalProtocol {
		_ = socket.Close(websocket.StatusPolicyViolation, "the subprotocol is "+TerminalProtocol)
		return
	}
	watching := make(chan error, 1)
	go func() { watching <- s.watch(ctx, cancel, by, name) }()
	// the socket outlives the request, for the last message
	life, over := context.WithCancel(context.WithoutCancel(ctx))
	defer over()
	end, err := (&terminal{socket: socket, conn: slots{conn, s.Engine(), name}}).run(life, ctx, size)
	var before error
	// the end of a lease removes the computer; if another process ended it, the provider here knows
	// only that it is gone
	if errors.Is(err, compute.ErrEnded) {
		asking, stop := context.WithTimeout(ctx, access.Recheck)
		before = s.leaseOver(asking, by, name)
		stop()
	}
	cancel(nil)
	if ended := cmp.Or(<-watching, before); errors.Is(ended, compute.ErrEnded) {
		end = api.TerminalEnd{Status: -1, Reason: api.Text(ended)}
	} else if ended != nil {
		end = api.TerminalEnd{Reason: "the lease has ended"}
	} else if cause := context.Cause(r.Context()); errors.Is(cause, compute.ErrDenied) {
		end = api.TerminalEnd{Status: -1, Reason: api.Text(cause)}
	}
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), stream.WriteTime)
	defer stop()
	text, _ := json.Marshal(end) // strings and a number
	if socket.Write(last, websocket.MessageBinary, append([]byte{terminalEnd}, text...)) == nil {
		_ = socket.Close(websocket.StatusNormalClosure, "")
	}
}

// terminalOf reads the size of a terminal; the default is 24 by 80.
func terminalOf(rows, columns string) (compute.Size, error) {
	size := compute.Size{Rows: 24, Cols: 80}
	for _, of := range []struct {
		text string
		out  *int
		most int
	}{{rows, &size.Rows, mostRows}, {columns, &size.Cols, mostColumns}} {
		if of.text == "" {
			continue
		}
		n, err := strconv.Atoi(of.text)
		if err != nil || n < 1 || n > of.most {
			return size, &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("rows and columns are numbers from 1 to 1000")}
		}
		*of.out = n
	}
	return size, nil
}
