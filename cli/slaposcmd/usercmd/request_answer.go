package usercmd

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/slapos/proto"
)

// The length of the line in which SlapOS's own command shows parameters; longer ones have a line
// each.
const parametersWidth = 80

// shownParameters are parameters as SlapOS's own command shows them.
func shownParameters(d proto.Dictionary) string {
	text, err := proto.Text(d)
	if err != nil {
		return err.Error()
	}
	if len(text) <= parametersWidth {
		return text
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(d)) {
		one, err := proto.Text(proto.Dictionary{name: d[name]})
		if err != nil {
			return err.Error()
		}
		lines = append(lines, strings.TrimSuffix(strings.TrimPrefix(one, "{"), "}"))
	}
	return "{" + strings.Join(lines, ",\n ") + "}"
}

// texts are parameters as the texts as which a master keeps them.
func texts(d proto.Dictionary) (map[string]string, error) {
	m := make(map[string]string, len(d))
	for name, v := range d {
		text, err := proto.Text(v)
		if err != nil {
			return nil, err
		}
		m[name] = text
	}
	return m, nil
}

// stateOf returns the wanted state of an instance. That of a shared one is its host's.
func stateOf(ctx context.Context, s *session.Session, n *proto.Instance) string {
	if n.State != "" || n.Computer == "" {
		return cmp.Or(n.State, proto.Started)
	}
	host, err := s.Client.Partition(ctx, n.Computer, n.Partition)
	if err != nil {
		s.Log.Note("the state of the host %s of %s: %v", n.Partition, n.Computer, err)
		return proto.Started
	}
	return cmp.Or(host.State, proto.Started)
}
