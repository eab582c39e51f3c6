package rpc

import (
	"net/http"
	"net/url"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto/nodereport"
)

const reportPath = "/" + nodereport.Method

// reports serves hostler.put.v0.compute_node_report. By POST a node reports what runs on it. By GET
// with computer_guid the computer's owner reads the last report.
func (s *api) reports(w http.ResponseWriter, r *http.Request) {
	who, err := s.opt.Who(r)
	var v any
	switch {
	case err != nil:
	case r.Method == http.MethodPost:
		v, err = s.report(w, r, who)
	case r.Method == http.MethodGet:
		v, err = s.reported(r, who)
	default:
		w.Header().Set("Allow", "GET, POST")
		wire.AnswerFailure(w, http.StatusMethodNotAllowed, "A report is sent by POST, and read by GET.", "")
		return
	}
	if err == nil {
		err = wire.AnswerJSON(w, http.StatusOK, v)
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

func (s *api) report(w http.ResponseWriter, r *http.Request, who access.Who) (any, error) {
	body, err := wire.ReadJSON(w, r)
	if err != nil {
		return nil, err
	}
	n, err := nodereport.Parse(body)
	if err != nil {
		return nil, access.Malformed(err)
	}
	return done("Reported", s.master.Computers.ReportNode(r.Context(), who, n))
}

// reported returns the last report of a node, or ErrNotFound.
func (s *api) reported(r *http.Request, who access.Who) (any, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, access.Invalid("the query cannot be read: %v", err)
	}
	guid := query.Get("computer_guid")
	if guid == "" {
		return nil, access.Invalid("computer_guid: this parameter is missing")
	}
	n, err := s.master.Computers.NodeReport(r.Context(), who, guid)
	if err == nil && n == nil {
		err = access.Refuse(compute.ErrNotFound, "The node of %s has told nothing of what runs on it.", guid)
	}
	return n, err
}
