package master

import (
	"cmp"
	"context"
	"time"

	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto/nodereport"
	slaposrecord "github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// A NodeRecord is a node's last report of its running programs.
type NodeRecord struct {
	At     time.Time         `json:"at"`
	Report nodereport.Report `json:"report"`
}

// ReportNode keeps a node's report of its running programs.
func (m *computers) ReportNode(ctx context.Context, who access.Who, n *nodereport.Report) error {
	if err := cmp.Or(who.Speaks(n.Computer), m.ledger.Refresh(ctx)); err != nil {
		return err
	}
	var known *slaposrecord.Computer
	if err := m.ledger.Read(func(b ledger.View) (err error) { known, err = b.Computer(n.Computer); return err }); err != nil {
		return err
	}
	if known == nil {
		return access.UnknownComputer(n.Computer)
	}
	record := ledger.Pack(&NodeRecord{At: time.Now().UTC(), Report: *n})
	err := m.ledger.Store.Update(ctx, func(tx store.Tx) error {
		return tx.SaveSlap(store.SlapEntry{Kind: slaposrecord.KindNode, Key: n.Computer, Computer: n.Computer, Data: record})
	})
	if err == nil {
		m.notes.heard.Add(1)
		m.notes.noteContact(ctx, n.Computer)
	}
	return err
}

// NodeReport is a node's last report of its running programs; nil: none yet.
func (m *computers) NodeReport(ctx context.Context, who access.Who, guid string) (n *NodeRecord, err error) {
	if _, err := m.Owned(ctx, who, guid); err != nil {
		return nil, err
	}
	err = m.ledger.Store.View(ctx, func(tx store.Tx) error {
		n = nil
		p := m.ledger.TxView(tx)
		e, ok, err := p.Entry(slaposrecord.KindNode, guid)
		if !ok {
			return err
		}
		n, err = ledger.Unpack[NodeRecord](e)
		return err
	})
	return n, err
}
