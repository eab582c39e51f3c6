package master

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/slap"
)

const reportPath = "/" + slap.NodeReportName

// A NodeRecord is what a node told last of what runs on it.
type NodeRecord struct {
	At     time.Time       `json:"at"`
	Report slap.NodeReport `json:"report"`
}

// ReportNode keeps what runs on a node, as it tells.
func (m *Master) ReportNode(ctx context.Context, who Who, n *slap.NodeReport) error {
	if err := firstOf(who.speaks(n.Computer), m.fresh(ctx)); err != nil {
		return err
	}
	var known *slap.ComputerRecord
	if err := m.read(func(b book) (err error) { known, err = b.computer(n.Computer); return err }); err != nil {
		return err
	}
	if known == nil {
		return unknownComputer(n.Computer)
	}
	record := pack(&NodeRecord{At: time.Now().UTC(), Report: *n})
	err := m.store.Update(ctx, func(tx compute.Tx) error {
		return tx.(Tx).SaveSlap(slap.Entry{Kind: slap.KindNode, Key: n.Computer, Computer: n.Computer, Data: record})
	})
	if err == nil {
		m.heard.Add(1)
		m.met(ctx, n.Computer)
	}
	return err
}

// NodeReport is what a node told last of what runs on it; nil: nothing yet.
func (m *Master) NodeReport(ctx context.Context, who Who, guid string) (n *NodeRecord, err error) {
	if _, err := m.owned(ctx, who, guid); err != nil {
		return nil, err
	}
	err = m.store.View(ctx, func(tx compute.Tx) error {
		n = nil
		p := m.pages(tx)
		e, ok, err := p.entry(slap.KindNode, guid)
		if !ok {
			return err
		}
		n, err = unpack[NodeRecord](e)
		return err
	})
	return n, err
}

// Reports is the handler of hostler.put.v0.compute_node_report: by POST a node tells what runs on
// it, by GET with computer_guid whoever has the computer reads what it told last.
func (m *Master) Reports(opt LegacyOptions) http.Handler {
	s := &rpc{m, opt.whole()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
			answerFailure(w, http.StatusMethodNotAllowed, "A report is sent by POST, and read by GET.", "")
			return
		}
		if err == nil {
			err = answerJSON(w, http.StatusOK, v)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

func (s *rpc) report(w http.ResponseWriter, r *http.Request, who Who) (any, error) {
	body, err := readJSON(w, r)
	if err != nil {
		return nil, err
	}
	n, err := slap.ParseNodeReport(body)
	if err != nil {
		return nil, unwell(err)
	}
	return done("Reported", s.master.ReportNode(r.Context(), who, n))
}

func (s *rpc) reported(r *http.Request, who Who) (any, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("the query cannot be read: %v", err)
	}
	guid := query.Get("computer_guid")
	if guid == "" {
		return nil, invalid("computer_guid: this parameter is missing")
	}
	n, err := s.master.NodeReport(r.Context(), who, guid)
	if err == nil && n == nil {
		err = refuse(compute.ErrNotFound, "The node of %s has told nothing of what runs on it.", guid)
	}
	return n, err
}
