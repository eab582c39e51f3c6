package rpc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/wire"
)

const (
	WatchPath = "/hostler.watch.v0.compute_node"
	watchFor  = 60 * time.Second
)

// watch serves GET /hostler.watch.v0.compute_node?computer_guid=…&after=REVISION. It answers
// {"computer_guid", "revision"} when the computer's wishes are beyond that revision, and 204 after
// a minute without change. The node sends the new revision with its next question; 0, or none, is
// answered at once.
func (s *api) watch(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		wire.AnswerPage(w, http.StatusMethodNotAllowed, "The method is not allowed for the requested URL.")
		return
	}
	guid, after, who, err := s.watched(r)
	if err != nil {
		wire.FailPage(s.master.Log(), w, r, err)
		return
	}
	// Servers that end slow answers are to let this one be; those that cannot be told have no
	// such end.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(watchFor + 30*time.Second))
	ctx, cancel := context.WithTimeout(r.Context(), watchFor)
	defer cancel()
	go func() { // which ends with the request
		select {
		case <-s.opt.Ending:
			cancel()
		case <-ctx.Done():
		}
	}()
	revision, err := s.master.Computers.Await(ctx, who, guid, after)
	switch {
	case err == nil:
		_ = wire.AnswerJSON(w, http.StatusOK, struct {
			Computer string `json:"computer_guid"`
			Revision int64  `json:"revision"`
		}{guid, revision})
	case ctx.Err() != nil && errors.Is(err, ctx.Err()) && r.Context().Err() == nil:
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	default:
		wire.FailPage(s.master.Log(), w, r, err)
	}
}

// watched reads the caller and the parameters of a watch. Without "after" it begins at zero.
func (s *api) watched(r *http.Request) (guid string, after int64, who access.Who, err error) {
	if who, err = s.opt.Who(r); err != nil {
		return "", 0, who, err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", 0, who, access.Invalid("the query cannot be read: %v", err)
	}
	if guid = query.Get("computer_guid"); guid == "" {
		return "", 0, who, access.Invalid("computer_guid: this parameter is missing")
	}
	if text := query.Get("after"); text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			return "", 0, who, access.Invalid("after: %.40q is no revision", text)
		}
	}
	return guid, after, who, nil
}
