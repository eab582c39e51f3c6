package deploy_test

import (
	"errors"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy"
)

// TestChoose: a name of several nodes is no choice, and a lease that is no node has to be forced.
func TestChoose(t *testing.T) {
	node := func(id, name, made string) deploy.Existing {
		labels := map[string]string{deploy.Label: made}
		return deploy.Existing{Lease: compute.Lease{ID: id, Name: name, Instance: compute.ID("lab-" + id), Labels: labels}}
	}
	all := []deploy.Existing{node("1", "web", "yes"), node("2", "web", "yes"), node("3", "mine", "")}
	for _, c := range []struct {
		name string
		opt  deploy.ChooseOptions
		want int
		err  error
	}{
		{"web", deploy.ChooseOptions{}, 0, compute.ErrConflict},
		{"web", deploy.ChooseOptions{All: true}, 2, nil},
		{"2", deploy.ChooseOptions{}, 1, nil},
		{"lab-1", deploy.ChooseOptions{}, 1, nil},
		{"wep", deploy.ChooseOptions{}, 0, compute.ErrNotFound},
		{"mine", deploy.ChooseOptions{Free: []string{"test-"}}, 0, compute.ErrDenied},
		{"mine", deploy.ChooseOptions{Force: true}, 1, nil},
	} {
		got, err := deploy.Choose(all, []string{c.name}, c.opt)
		if len(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("Choose(%s, %+v): %d nodes, err = %v; want %d, %v", c.name, c.opt, len(got), err, c.want, c.err)
		}
	}
}
