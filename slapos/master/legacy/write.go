package legacy

import (
	"errors"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
)

// writeEndpoints are the endpoints that may change something.
var writeEndpoints = map[string]endpoint{
	"requestComputerPartition":                   (*endpoints).request,
	"supplySupply":                               (*endpoints).supply,
	"loadComputerConfigurationFromXML":           (*endpoints).configure,
	"setComputerPartitionConnectionXml":          (*endpoints).connection,
	"destroyedComputerPartition":                 (*endpoints).destroyed,
	"startedComputerPartition":                   instanceIs(proto.Started),
	"stoppedComputerPartition":                   instanceIs(proto.Stopped),
	"softwareInstanceError":                      (*endpoints).instanceError,
	"softwareInstanceBang":                       (*endpoints).bang,
	"softwareInstanceRename":                     (*endpoints).rename,
	"buildingSoftwareRelease":                    releaseIs(jsonapi.ReportedBuilding),
	"availableSoftwareRelease":                   releaseIs(proto.Available),
	"destroyedSoftwareRelease":                   (*endpoints).releaseDestroyed,
	"softwareReleaseError":                       (*endpoints).releaseError,
	"computerBang":                               (*endpoints).computerBang,
	"useComputer":                                (*endpoints).use,
	"requestComputer":                            (*endpoints).newComputer,
	"generateComputerCertificate":                (*endpoints).computerCertificate,
	"revokeComputerCertificate":                  (*endpoints).noComputerCertificate,
	"updateComputerPartitionRelatedInstanceList": (*endpoints).related,
}

// supply sets the state of a release on a computer; without one it is available.
func (l *endpoints) supply(c *call) (any, error) {
	if err := c.need("url", "computer_id"); err != nil {
		return nil, err
	}
	state := proto.Optional(c.form, "state")
	if state == "" {
		state = proto.Available
	}
	if err := l.master.Computers.Supply(c.r.Context(), c.who, c.get("computer_id"), c.get("url"), state); err != nil {
		return nil, err
	}
	return text("Supplied '" + c.get("url") + "' to be " + state), nil
}

func (l *endpoints) configure(c *call) (any, error) {
	v, err := proto.ParseField(c.form, "xml")
	if err != nil {
		return nil, access.Malformed(err)
	}
	configuration, err := proto.ReadConfiguration(v)
	if err != nil {
		return nil, access.Malformed(err)
	}
	return text("done"), l.master.Computers.Format(c.r.Context(), c.who, configuration)
}

func (l *endpoints) connection(c *call) (any, error) {
	if err := c.need("computer_id", "computer_partition_id"); err != nil {
		return nil, err
	}
	v, err := proto.ParseField(c.form, "connection_xml")
	if err != nil {
		return nil, access.Malformed(err)
	}
	connection, ok := v.(proto.Dictionary)
	if !ok {
		return nil, access.Invalid("connection_xml: expected a dictionary")
	}
	return text("done"), l.master.Instances.SetConnection(
		c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id"),
		proto.Optional(c.form, "slave_reference"), connection,
	)
}

// destroyed takes a node's word that an instance is destroyed. Refusals are told in the text of
// a success, as the reference does.
func (l *endpoints) destroyed(c *call) (any, error) {
	if err := c.need("computer_id", "computer_partition_id"); err != nil {
		return nil, err
	}
	children, err := l.master.Instances.InstanceDestroyed(c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id"))
	refusal, refused := errors.AsType[*access.Refusal](err)
	switch {
	case refused && refusal.Kind == compute.ErrNotFound:
		return text(refusal.Text), nil // which the reference takes for a success
	case err != nil:
		return nil, err
	case len(children) > 0:
		return text(master.Refused(children)), nil
	}
	return text("OK"), nil
}

const ignored text = "Ignored"

// instanceIs returns the endpoint where a node reports this state.
func instanceIs(state string) endpoint {
	return func(l *endpoints, c *call) (any, error) {
		if err := c.need("computer_id", "computer_partition_id"); err != nil {
			return nil, err
		}
		return ignored, l.master.Statuses.InstanceReported(
			c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id"), state,
		)
	}
}

func (l *endpoints) instanceError(c *call) (any, error) {
	if err := c.need("computer_id", "computer_partition_id", "error_log"); err != nil {
		return nil, err
	}
	return ignored, l.master.Statuses.InstanceError(
		c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id"),
		proto.Optional(c.form, "slave_reference"), c.get("error_log"),
	)
}

func (l *endpoints) bang(c *call) (any, error) {
	if err := c.need("computer_id", "computer_partition_id", "message"); err != nil {
		return nil, err
	}
	return text("OK"), l.master.Instances.Bang(c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id"), c.get("message"))
}

func (l *endpoints) rename(c *call) (any, error) {
	if err := c.need("computer_id", "computer_partition_id", "new_name"); err != nil {
		return nil, err
	}
	return text("done"), l.master.Instances.Rename(
		c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id"),
		proto.Optional(c.form, "slave_reference"), c.get("new_name"),
	)
}

func releaseIs(state string) endpoint {
	return func(l *endpoints, c *call) (any, error) {
		if err := c.need("url", "computer_id"); err != nil {
			return nil, err
		}
		return ignored, l.master.Statuses.ReleaseReported(c.r.Context(), c.who, c.get("computer_id"), c.get("url"), state)
	}
}

func (l *endpoints) releaseDestroyed(c *call) (any, error) {
	if err := c.need("url", "computer_id"); err != nil {
		return nil, err
	}
	return text("OK"), l.master.Computers.ReleaseDestroyed(c.r.Context(), c.who, c.get("computer_id"), c.get("url"))
}

func (l *endpoints) releaseError(c *call) (any, error) {
	if err := c.need("url", "computer_id", "error_log"); err != nil {
		return nil, err
	}
	return ignored, l.master.Statuses.ReleaseError(c.r.Context(), c.who, c.get("computer_id"), c.get("url"), c.get("error_log"))
}

func (l *endpoints) computerBang(c *call) (any, error) {
	if err := c.need("computer_id", "message"); err != nil {
		return nil, err
	}
	return "", l.master.Statuses.ComputerBang(c.r.Context(), c.who, c.get("computer_id"), c.get("message"))
}

func (l *endpoints) use(c *call) (any, error) {
	if err := c.need("computer_id", "use_string"); err != nil {
		return nil, err
	}
	return ignored, l.master.Usage.Keep(c.r.Context(), c.who, c.get("computer_id"), c.get("use_string"))
}

func (l *endpoints) newComputer(c *call) (any, error) {
	if err := c.need("computer_title"); err != nil {
		return nil, err
	}
	guid, err := l.master.Computers.NewComputer(c.r.Context(), c.who, c.get("computer_title"), proto.Optional(c.form, "project_reference"))
	if err != nil {
		return nil, err
	}
	return &proto.Object{Class: proto.ClassComputer, Args: proto.Tuple{guid}, Attributes: proto.Dictionary{"_computer_id": guid}}, nil
}

// related takes an instance's list of its requests, and ignores it: the master knows them.
func (l *endpoints) related(c *call) (any, error) {
	if err := c.need("computer_id", "computer_partition_id"); err != nil {
		return nil, err
	}
	v, err := proto.ParseField(c.form, "instance_reference_xml")
	if err != nil {
		return nil, access.Malformed(err)
	}
	if _, ok := v.(proto.List); !ok {
		return nil, access.Invalid("instance_reference_xml: expected a list")
	}
	return ignored, c.who.Speaks(c.get("computer_id"))
}

func (l *endpoints) computerCertificate(c *call) (any, error) {
	if err := c.need("computer_id"); err != nil {
		return nil, err
	}
	return certified(l.master.Certificates.ComputerCertificate(c.r.Context(), c.who, c.get("computer_id")))
}

func (l *endpoints) noComputerCertificate(c *call) (any, error) {
	if err := c.need("computer_id"); err != nil {
		return nil, err
	}
	return text("OK"), l.master.Certificates.RevokeComputer(c.r.Context(), c.who, c.get("computer_id"))
}

// request answers a request for an instance. The answer is cached if it is not too large.
func (l *endpoints) request(c *call) (any, error) {
	q, err := proto.ParseRequest(c.form)
	if err != nil {
		return nil, access.Malformed(err)
	}
	a, err := l.master.Requests.Request(master.RequestContext(c.r, l.opt.Base(c.r)), c.who, q)
	if err != nil {
		return nil, err
	}
	body, err := proto.Marshal(a.Value())
	if err != nil {
		return nil, access.Malformed(err)
	}
	if c.key.form != "" && a.CacheKey != nil && len(body) <= maxCachedAnswer {
		l.answers.add(c.key, &cachedAnswer{key: a.CacheKey, body: body, thing: c.about()})
	}
	return written(body), nil
}
