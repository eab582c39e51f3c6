package clouds

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/provider/ec2"
	ec2deployment "github.com/hostler-project/hostler/provider/ec2/deployment"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// same reads the record, and refuses that of another account or region. It returns nil if there is
// none.
func (r *region) same(ctx context.Context, o deployment.Options) (Place, *deployment.Record, error) {
	place, err := r.Place(ctx)
	if err != nil {
		return place, nil, err
	}
	rec, err := recorded(ctx, o, ec2.Kind.Name)
	if err != nil || rec == nil {
		return place, nil, err
	}
	if rec.Region != place.Region || rec.Project != "" && rec.Project != place.Project {
		return place, nil, &compute.Error{ID: compute.ID(o.Name), Kind: compute.ErrConflict,
			Err: fmt.Errorf(
				"it is deployed in account %s in %s, and these credentials are for account %s in %s",
				cmp.Or(rec.Project, "-"), rec.Region, cmp.Or(place.Project, "-"), place.Region,
			),
			Hint: "use the credentials and the region that it was deployed with"}
	}
	return place, rec, nil
}

// deployable refuses what a region has no use for.
func (r *region) deployable(o deployment.Options, s deployment.Settings) error {
	if o.Metadata != "" {
		return fault.Invalid("leave it out", "--metadata-service: not for -p ec2, where deploy makes the same wherever it runs")
	}
	if len(s.DNS) > 0 || s.Network+s.CIDR+s.CIDR6+s.Gateway+s.External != "" {
		return &compute.Error{
			ID: compute.ID(o.Name), Kind: compute.ErrInvalid, Err: errors.New("networks are not made on EC2"),
			Hint: "name what there is in the ec2.Options: Subnets, or nothing for the region's own network",
		}
	}
	return nil
}

// Deploy makes a key pair and, if there are ports, a security group, but no networks.
func (r *region) Deploy(ctx context.Context, o deployment.Options, s deployment.Settings) (*deployment.Record, string, error) {
	if err := r.deployable(o, s); err != nil {
		return nil, "", err
	}
	place, rec, err := r.same(ctx, o)
	if err != nil {
		return nil, "", err
	}
	if rec != nil && rec.State == deployment.TearingDown {
		return rec, "", &compute.Error{
			ID: compute.ID(o.Name), Kind: compute.ErrConflict, Err: errors.New("it is being torn down"),
			Hint: "finish that first: hostler cloud teardown",
		}
	}
	if rec == nil {
		rec = &deployment.Record{
			Name: o.Name, Provider: ec2.Kind.Name, Installation: o.Installation, Project: place.Project, Region: place.Region,
		}
	}
	p, err := ec2.Open(ctx, r.log, r.options(o))
	if err != nil {
		return nil, "", err
	}
	save := func(state string) error {
		if o.DryRun {
			return nil // it stays in its state: in none, where nothing is deployed
		}
		rec.State, rec.Since = state, time.Now().UTC()
		return o.Store.SaveDeployment(ctx, rec)
	}
	rec.Cloud, rec.Settings = r.base.Profile, deployment.Settings{Ports: s.Ports, From: s.From}
	if rec.Notes == nil {
		rec.Notes = map[string]string{}
	}
	rec.Notes[noteEndpoint], rec.Notes[noteSubnets] = r.base.Endpoint, strings.Join(r.base.Subnets, ", ")
	steps := newSteps(o)
	got, err := p.Deployment().Deploy(ctx, ec2deployment.Deployment{
		Name: o.Name, Ports: s.Ports, From: s.From, DryRun: o.DryRun,
		Begin: func() error { return save(deployment.Deploying) },
	}, steps.did)
	if err != nil {
		return rec, "", err
	}
	rec.Things = steps.things(got, len(s.Ports) > 0)
	file := keyFile(o.Keys, o.Name)
	if r.base.Key != "" || r.base.IdentityFile != "" {
		file = "" // the user's own key, of which no file is written here
	}
	return rec, file, save(deployment.Deployed)
}

// steps tells what is done in a region in the words of all clouds.
type steps struct {
	o    deployment.Options
	told map[string]string // what was done with a kind of things
}

func newSteps(o deployment.Options) *steps {
	if o.Tell == nil {
		o.Tell = func(deployment.Step) {}
	}
	return &steps{o, map[string]string{}}
}

// did takes a step of the region's deployment.
func (s *steps) did(did, kind, name string) {
	if s.told[kind] = did; kind == deployment.Rule {
		s.o.Tell(deployment.Step{Did: did, Kind: kind, Name: name})
	}
}

// things tells of the key pair and the group, and returns them for the record.
func (s *steps) things(got ec2deployment.Deployed, group bool) []deployment.Thing {
	out := []deployment.Thing{{Kind: deployment.KeyPair, Name: got.Pair, ID: got.Pair, Made: true}}
	if group {
		if s.told[deployment.Rule] != "" && s.told[deployment.Group] == "" {
			s.told[deployment.Group] = map[bool]string{false: deployment.Repaired, true: deployment.WouldFix}[s.o.DryRun]
		}
		out = append(out, deployment.Thing{Kind: deployment.Group, Name: s.o.Name, ID: got.Group, Made: true})
	}
	for _, t := range out {
		s.o.Tell(deployment.Step{Did: cmp.Or(s.told[t.Kind], deployment.Found), Kind: t.Kind, Name: t.Name, ID: t.ID})
	}
	// instances in our group alone could not reach those in none
	if got.Default != "" && group {
		out = append(out, deployment.Thing{Kind: deployment.Group, Name: "default", ID: got.Default})
	}
	return out
}

// deleted tells of things that are gone or stay.
func (s *steps) deleted(did, note string, things []ec2deployment.Thing) {
	for _, t := range things {
		kind := t.Kind
		if kind == "instance" {
			kind = deployment.Server
		}
		s.o.Tell(deployment.Step{Did: did, Kind: kind, Name: t.Name, ID: t.ID, Note: note})
	}
}

// Teardown deletes everything that carries the deployment's mark, then the secret of its keys.
func (r *region) Teardown(ctx context.Context, o deployment.Options) error {
	_, rec, err := r.same(ctx, o)
	if err != nil {
		return err
	}
	p, err := ec2.Open(ctx, r.log, r.options(o))
	if err != nil {
		return err
	}
	did := deployment.Deleted
	if o.DryRun {
		did = deployment.WouldDrop
	} else if rec != nil {
		rec.State, rec.Since = deployment.TearingDown, time.Now().UTC()
		if err := o.Store.SaveDeployment(ctx, rec); err != nil {
			return err
		}
	}
	deleted, kept, err := p.Deployment().Teardown(ctx, o.Name, o.DryRun)
	steps := newSteps(o)
	steps.deleted(did, "", deleted)
	steps.deleted(deployment.Left, "of the server that this runs on", kept)
	if errors.Is(err, compute.ErrNotFound) && rec != nil {
		err = nil // deleted by hand, or by a killed process
	} else if errors.Is(err, compute.ErrNotFound) {
		return &compute.Error{
			ID: compute.ID(o.Name), Kind: compute.ErrNotFound,
			Err:  errors.New("nothing to tear down; did you deploy with the current credentials?"),
			Hint: "hostler cloud servers -p ec2 shows what there is",
		}
	}
	if err != nil || o.DryRun {
		return err
	}
	if err := os.RemoveAll(secretDir(o.Keys, o.Name)); err != nil {
		return &compute.Error{Op: "remove the private key", Kind: compute.ErrFailed, Err: err}
	}
	return o.Store.DropDeployment(ctx, o.Name)
}
