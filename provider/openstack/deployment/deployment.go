package deployment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"

	"github.com/hostler-project/hostler/compute"
)

// Cloud is one project of an OpenStack, with clients that are logged in.
type Cloud struct {
	Compute *gophercloud.ServiceClient
	Network *gophercloud.ServiceClient
	Volume  *gophercloud.ServiceClient // nil: the cloud has no volumes
	Project string                     // its id
	Region  string
	Name    string // in clouds.yaml; "": none
}

// Options are what Deploy and Teardown need besides the settings.
type Options struct {
	Name         string // of the deployment, and of everything in it
	Installation string
	Keys         string // the directory of private keys; it is made with mode 0700 if missing
	Store        Store
	DryRun       bool // change nothing in the cloud or here; the steps say what would be done
	RotateKey    bool // replace the key pair, though running servers know only the old one
	Tell         func(Step)
	Log          *slog.Logger
	// the address of the metadata service; "": the link-local one; "none": do not ask it
	Metadata string

	// Patience is how long to wait for what clouds do after they answer, as for a port that still
	// uses a network. 0: 10 s for each thing, 4 minutes for all servers.
	Patience        time.Duration
	ServersPatience time.Duration
}

// work is one run of Deploy or Teardown.
type work struct {
	cloud Cloud
	opt   Options
	mark  mark
	rec   *Record
	here  string // the id of the server that a teardown runs on; "": it runs elsewhere

	asked bool // own is known
	own   *servers.Server
}

// begin checks the options and fills in the defaults of one run.
func begin(cloud Cloud, opt Options) (*work, error) {
	if err := CheckName(opt.Name); err != nil {
		return nil, err
	}
	if opt.Tell == nil {
		opt.Tell = func(Step) {}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Patience == 0 {
		opt.Patience = 10 * time.Second
	}
	if opt.ServersPatience == 0 {
		opt.ServersPatience = 4 * time.Minute
	}
	return &work{cloud: cloud, opt: opt, mark: mark{opt.Installation, opt.Name}}, nil
}

// known reads the record. It refuses one of another project or installation.
func (w *work) known(ctx context.Context) (*Record, error) {
	rec, err := w.opt.Store.Deployment(ctx, w.opt.Name)
	if errors.Is(err, compute.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if rec.Provider != "" {
		return nil, &compute.Error{
			ID: compute.ID(w.opt.Name), Kind: compute.ErrConflict,
			Err: fmt.Errorf("it is deployed in %s, and this is an OpenStack", rec.Provider), Hint: "take another name",
		}
	}
	if rec.Project != w.cloud.Project || rec.Region != w.cloud.Region {
		return nil, &compute.Error{ID: compute.ID(w.opt.Name), Kind: compute.ErrConflict,
			Err: fmt.Errorf(
				"it is deployed in project %s%s, and these credentials are for project %s%s", rec.Project,
				inRegion(rec.Region), w.cloud.Project, inRegion(w.cloud.Region),
			),
			Hint: "use the credentials that it was deployed with" + byCloud(rec.Cloud)}
	}
	if rec.Installation != w.opt.Installation {
		return nil, &compute.Error{
			ID: compute.ID(w.opt.Name), Kind: compute.ErrConflict,
			Err: errors.New("another installation of hostler deployed it"),
		}
	}
	return rec, nil
}

func inRegion(region string) string {
	if region == "" {
		return ""
	}
	return " of region " + region
}

func byCloud(name string) string {
	if name == "" {
		return ""
	}
	return ": --cloud " + name
}

// Deploy makes the missing parts of a deployment, and corrects those that differ. It returns the
// record as far as it got, which the store has too. It refuses before the first change if it can.
// Its errors are ErrInvalid (settings), ErrConflict (a thing cannot be used, or is somebody
// else's), ErrNoCapacity (a quota) and ErrDenied.
func Deploy(ctx context.Context, cloud Cloud, opt Options, settings Settings) (*Record, error) {
	w, err := begin(cloud, opt)
	if err != nil {
		return nil, err
	}
	if settings, err = settings.complete(); err != nil {
		return nil, err
	}
	if w.rec, err = w.known(ctx); err != nil {
		return nil, err
	}
	if w.rec != nil && w.rec.State == TearingDown {
		return w.rec, &compute.Error{
			ID: compute.ID(opt.Name), Kind: compute.ErrConflict, Err: errors.New("it is being torn down"),
			Hint: "finish that first: hostler cloud teardown",
		}
	}
	if w.rec == nil {
		w.rec = &Record{
			Name: opt.Name, Installation: opt.Installation, Cloud: cloud.Name, Project: cloud.Project,
			Region: cloud.Region, Things: []Thing{},
		}
	}
	if err := w.rehearse(ctx, settings); err != nil {
		return w.rec, err
	}
	w.rec.Settings = settings
	if err := w.enter(ctx, Deploying); err != nil {
		return nil, err
	}
	if err := w.deploy(ctx); err != nil {
		return w.rec, err
	}
	return w.rec, w.enter(ctx, Deployed)
}

// rehearse runs everything without a change. So what can be refused is refused while the cloud, the
// keys and the record are as before.
func (w *work) rehearse(ctx context.Context, settings Settings) error {
	if w.opt.DryRun {
		return nil // this is a rehearsal already
	}
	rec := *w.rec
	rec.Things, rec.Settings = slices.Clone(w.rec.Things), settings
	opt := w.opt
	opt.DryRun, opt.Tell, opt.Log = true, func(Step) {}, slog.New(slog.DiscardHandler)
	dry := work{cloud: w.cloud, opt: opt, mark: w.mark, rec: &rec, asked: w.asked, own: w.own}
	err := dry.deploy(ctx)
	w.asked, w.own = dry.asked, dry.own
	return err
}

// deploy makes the key pair, the security group and the network. On a server of the cloud, or with
// a given network, it uses an existing network.
func (w *work) deploy(ctx context.Context) error {
	if err := w.keyPair(ctx); err != nil {
		return err
	}
	self, err := w.self(ctx)
	if err != nil {
		return err
	}
	if self != nil {
		w.rec.InCloud = self.ID
		if err := w.ownNetwork(ctx, self); err != nil {
			return err
		}
		return w.group(ctx)
	}
	w.rec.InCloud = ""
	if w.rec.Settings.Network != "" {
		if err := (&topology{w}).givenNetwork(ctx); err != nil {
			return err
		}
		return w.group(ctx)
	}
	// The group comes first: if its rules are refused, nothing that costs money was made.
	if err := w.group(ctx); err != nil {
		return err
	}
	return (&topology{w}).network(ctx)
}

// enter records a new state. A rehearsal changes no state.
func (w *work) enter(ctx context.Context, state string) error {
	if w.opt.DryRun {
		return nil
	}
	w.rec.State, w.rec.Since = state, time.Now().UTC()
	return w.save(ctx)
}

// save stores the record, except in a dry run.
func (w *work) save(ctx context.Context) error {
	if w.opt.DryRun {
		return nil
	}
	if err := w.opt.Store.SaveDeployment(ctx, w.rec); err != nil {
		return fmt.Errorf("record deployment %s: %w", w.opt.Name, err)
	}
	return nil
}

func (w *work) tell(did, kind, name, id, note string) {
	w.opt.Log.Debug("deployment", "did", did, "kind", kind, "name", name, "id", id, "note", note)
	w.opt.Tell(Step{Did: did, Kind: kind, Name: name, ID: id, Note: note})
}

// candidate is a thing at the cloud that has the wanted name.
type candidate struct {
	id      string
	created time.Time
	text    string
	tags    []string
}

// part says how to find, make and delete one kind of thing of a deployment.
type part struct {
	kind, name string
	plural     string // the network service's name for the kind, for tags
	find       func(context.Context) ([]candidate, error)
	make       func(context.Context) (id string, err error)
	drop       func(ctx context.Context, id string) error // deletes one that a race made twice
}

// ensure returns a thing: the one that is recorded or marked as ours, else somebody else's with the
// name, else a new one. made is false for somebody else's. In a dry run id may be "".
func (w *work) ensure(ctx context.Context, p part) (id string, made bool, err error) {
	all, err := p.find(ctx)
	if err != nil {
		return "", false, failed("look for "+p.kind, p.name, err)
	}
	var ours, others []candidate
	for _, c := range all {
		mine, theirs := w.mark.on(c.text, c.tags)
		switch {
		case mine:
			ours = append(ours, c)
		case theirs:
			return "", false, &compute.Error{
				ID: compute.ID(p.name), Kind: compute.ErrConflict,
				Err:  fmt.Errorf("the %s %s is of another deployment, or of another installation of hostler", p.kind, c.id),
				Hint: "take another name",
			}
		default:
			others = append(others, c)
		}
	}
	known := w.rec.find(p.kind, p.name)
	if len(ours) == 0 && len(others) > 0 {
		i := 0
		if len(others) > 1 {
			i = slices.IndexFunc(others, func(c candidate) bool { return known != nil && known.ID == c.id })
		}
		if i < 0 {
			var ids []string
			for _, c := range others {
				ids = append(ids, c.id)
			}
			return "", false, &compute.Error{
				ID: compute.ID(p.name), Kind: compute.ErrConflict,
				Err: fmt.Errorf(
					"there are %d of this name, and hostler made none of them: %s %s", len(others), p.kind,
					strings.Join(ids, ", "),
				),
				Hint: "take another name, or rename all but one",
			}
		}
		w.rec.note(Thing{Kind: p.kind, Name: p.name, ID: others[i].id})
		w.tell(Found, p.kind, p.name, others[i].id, "not made by hostler: used as it is, and not deleted")
		return others[i].id, false, w.save(ctx)
	}
	if len(ours) == 0 {
		return w.makeOne(ctx, p)
	}
	return w.keepOne(ctx, p, ours)
}

// makeOne makes a thing. It records it before and after the request, and tags it.
func (w *work) makeOne(ctx context.Context, p part) (string, bool, error) {
	if w.opt.DryRun {
		w.tell(wouldMake, p.kind, p.name, "", "")
		return "", true, nil
	}
	w.rec.note(Thing{Kind: p.kind, Name: p.name, Made: true})
	if err := w.save(ctx); err != nil {
		return "", true, err
	}
	id, err := p.make(ctx)
	if err != nil {
		return "", true, failed("make "+p.kind, p.name, err)
	}
	w.rec.note(Thing{Kind: p.kind, Name: p.name, ID: id, Made: true})
	if err := w.save(ctx); err != nil {
		return "", true, err
	}
	if err := w.label(ctx, p, id); err != nil {
		return "", true, err
	}
	all, err := p.find(ctx) // another process may have made one at the same moment
	if err != nil {
		return "", true, failed("look for "+p.kind, p.name, err)
	}
	all = slices.DeleteFunc(all, func(c candidate) bool { ours, _ := w.mark.on(c.text, c.tags); return !ours })
	if len(all) > 1 {
		return w.keepOne(ctx, p, all)
	}
	w.tell(Made, p.kind, p.name, id, "")
	return id, true, nil
}

// keepOne uses the oldest of our things and deletes the others. A dead or a concurrent process made
// them.
func (w *work) keepOne(ctx context.Context, p part, ours []candidate) (string, bool, error) {
	slices.SortFunc(ours, func(a, b candidate) int {
		if c := a.created.Compare(b.created); c != 0 {
			return c
		}
		return strings.Compare(a.id, b.id)
	})
	for _, c := range ours[1:] {
		if w.opt.DryRun {
			w.tell(WouldDrop, p.kind, p.name, c.id, "there are two")
			continue
		}
		if err := p.drop(ctx, c.id); err != nil && !isGone(err) {
			return "", true, failed("delete the second "+p.kind, p.name, err)
		}
		w.tell(Deleted, p.kind, p.name, c.id, "there were two")
	}
	kept := ours[0]
	w.rec.note(Thing{Kind: p.kind, Name: p.name, ID: kept.id, Made: true})
	did := Found
	if p.plural != "" && len(w.missing(kept.tags)) > 0 {
		if did = WouldFix; !w.opt.DryRun {
			did = Repaired
			if err := w.relabel(ctx, p, kept.id, kept.tags); err != nil {
				return "", true, err
			}
		}
	}
	w.tell(did, p.kind, p.name, kept.id, "")
	return kept.id, true, w.save(ctx)
}
