package cloudcmd

import (
	"strings"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// printServers prints servers, whether each is destroyed, and what all of them cost together.
func (w *cloudWork) printServers(all []deployment.ServerInfo, gone map[string]bool, costs prices) error {
	views, rows, sum := []cloudServerView{}, [][]string{}, []*float64{}
	for _, s := range all {
		price := costs.of(s.Flavor)
		sum = append(sum, price)
		views = append(views, cloudServerView{ID: s.ID, Name: s.Name, Deployment: s.Deployment, Source: s.Source,
			Instance: string(s.Instance), Status: s.Status, Addresses: term.Listed(s.Addresses), Flavor: s.Flavor,
			Zone: s.Zone, Created: s.Created, Problem: s.Problem, Hourly: price, Destroyed: gone[s.ID]})
		note := s.Problem
		if gone[s.ID] {
			note = strings.TrimPrefix(note+"; destroyed", "; ")
		}
		rows = append(
			rows,
			[]string{
				s.Name, s.ID, s.Status, term.OrDash(strings.Join(s.Addresses, ",")), s.Flavor, term.OrDash(s.Source),
				term.OrDash(s.Deployment), costs.shown(price), note,
			},
		)
	}
	if w.app.JSON {
		return w.app.PrintJSON(views)
	}
	if err := w.app.Table(
		[]string{"name", "id", "status", "address", "flavor", "source", "deployment", "hourly", "problem"}, rows,
	); err != nil {
		return err
	}
	if total := costs.total(sum); total != nil && !w.app.Quiet {
		return term.Printf(w.app.Err, "together %s an hour\n", costs.shown(total))
	}
	return nil
}
