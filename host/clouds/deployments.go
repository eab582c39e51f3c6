package clouds

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/catalog"

	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
	"github.com/hostler-project/hostler/store"
)

// cloudsNote is the note with the records of all deployments, by name.
const cloudsNote = "clouds"

// readDeployments reads all records.
func readDeployments(tx store.Tx) (map[string]*deployment.Record, error) {
	all := map[string]*deployment.Record{}
	_, err := store.ReadNote(tx, cloudsNote, &all)
	return all, err
}

// readDeployment reads one record by the notes of a store; a missing one is compute.ErrNotFound.
func readDeployment(
	ctx context.Context, note func(ctx context.Context, name string) (string, error), name string,
) (*deployment.Record, error) {
	all := map[string]*deployment.Record{}
	text, err := note(ctx, cloudsNote)
	if err == nil {
		err = store.DecodeNote(cloudsNote, text, &all)
	}
	if err == nil && all[name] == nil {
		err = compute.ErrNotFound
	}
	return all[name], err
}

// Deployment returns a record. A missing one is compute.ErrNotFound.
func (d Deployments) Deployment(ctx context.Context, name string) (*deployment.Record, error) {
	var rec *deployment.Record
	err := d.store.View(ctx, func(tx store.Tx) error {
		all, err := readDeployments(tx)
		if rec = all[name]; err == nil && rec == nil {
			err = compute.ErrNotFound
		}
		return err
	})
	return rec, err
}

// All returns all records, by name.
func (d Deployments) All(ctx context.Context) (out []*deployment.Record, err error) {
	err = d.store.View(ctx, func(tx store.Tx) error {
		all, err := readDeployments(tx)
		out = nil
		for _, name := range slices.Sorted(maps.Keys(all)) {
			out = append(out, all[name])
		}
		return err
	})
	return out, err
}

// SaveDeployment adds or replaces a record.
func (d Deployments) SaveDeployment(ctx context.Context, rec *deployment.Record) error {
	return d.change(ctx, func(all map[string]*deployment.Record) { all[rec.Name] = rec })
}

// DropDeployment deletes a record.
func (d Deployments) DropDeployment(ctx context.Context, name string) error {
	return d.change(ctx, func(all map[string]*deployment.Record) { delete(all, name) })
}

// change changes the records in one transaction. Without records, the note is removed.
func (d Deployments) change(ctx context.Context, f func(map[string]*deployment.Record)) error {
	return d.store.Update(ctx, func(tx store.Tx) error {
		all, err := readDeployments(tx)
		if err != nil {
			return err
		}
		f(all)
		if len(all) == 0 {
			return tx.SaveNote(cloudsNote, "")
		}
		return store.WriteNote(tx, cloudsNote, all)
	})
}

// deployed fills in the cloud, network, security groups and key of a source that names a
// deployment, where its configuration does not set them.
func deployed(ctx context.Context, s catalog.Site, settings map[string]string) (map[string]string, error) {
	name, typ := settings["deployment"], s.Type
	if name == "" {
		return settings, nil
	}
	rec, err := readDeployment(ctx, s.Note, name)
	// after a teardown, leftovers of the source can still be found and removed, but nothing can be
	// made
	if errors.Is(err, compute.ErrNotFound) {
		rec, err = &deployment.Record{
			Name: name,
			Things: []deployment.Thing{
				{Kind: deployment.Network, Name: name, ID: "of deployment " + name + ", which is not there"},
				{Kind: deployment.KeyPair, Name: name, ID: name},
			},
		}, nil
		if typ != openstack.Kind.Name {
			rec.Provider = typ
		}
	}
	if err != nil {
		return nil, err
	}
	if of := KindOf(rec); of != typ {
		return nil, &compute.Error{
			ID: compute.ID(name), Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("the deployment is one of %s, and the source's type is %s", of, typ),
			Hint: "name another deployment, or none",
		}
	}
	out := maps.Clone(settings)
	add := func(key, value string) {
		if _, said := out[key]; !said && value != "" {
			out[key] = value
		}
	}
	_, ownKey := out["key"]
	if typ == ec2.Kind.Name {
		add("security_groups", strings.Join(rec.IDs(deployment.Group), ", "))
		add("profile", rec.Cloud)
		add("region", rec.Region)
		add("endpoint", rec.Notes[noteEndpoint])
		add("subnets", rec.Notes[noteSubnets])
		if _, own := out["identity_file"]; !own && !ownKey {
			add("key", rec.ID(deployment.KeyPair))
			add("identity_file", keyFile(s.Keys, name))
		}
		return out, nil
	}
	add("network", rec.ID(deployment.Network))
	add("security_groups", strings.Trim(rec.GroupID()+", default", ", "))
	if !ownKey {
		add("key", rec.ID(deployment.KeyPair))
		add("identity_file", deployment.KeyFile(s.Keys, name))
	}
	if _, own := out["cloud"]; !own {
		add("cloud", rec.Cloud)
		add("region", rec.Region)
	}
	return out, nil
}

// Deployments keeps the records of deployments in clouds, as one note in the store.
type Deployments struct{ store records }

// NewDeployments returns the records in a store.
func NewDeployments(s records) Deployments { return Deployments{s} }

// records is the part of the store that is used here.
type records interface {
	View(ctx context.Context, f func(store.Tx) error) error
	Update(ctx context.Context, f func(store.Tx) error) error
}

// The notes of an EC2 deployment's record that its sources need.
const (
	noteEndpoint = "endpoint"
	noteSubnets  = "subnets"
)
