package master

import (
	"errors"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/slap"
)

// legacyWrites are the endpoints that may change something.
var legacyWrites = map[string]endpoint{
	"requestComputerPartition":                   (*legacy).request,
	"supplySupply":                               (*legacy).supply,
	"loadComputerConfigurationFromXML":           (*legacy).configure,
	"setComputerPartitionConnectionXml":          (*legacy).connection,
	"destroyedComputerPartition":                 (*legacy).destroyed,
	"startedComputerPartition":                   instanceIs(slap.Started),
	"stoppedComputerPartition":                   instanceIs(slap.Stopped),
	"softwareInstanceError":                      (*legacy).instanceError,
	"softwareInstanceBang":                       (*legacy).bang,
	"softwareInstanceRename":                     (*legacy).rename,
	"buildingSoftwareRelease":                    releaseIs(slap.ReportedBuilding),
	"availableSoftwareRelease":                   releaseIs(slap.Available),
	"destroyedSoftwareRelease":                   (*legacy).releaseDestroyed,
	"softwareReleaseError":                       (*legacy).releaseError,
	"computerBang":                               (*legacy).computerBang,
	"useComputer":                                (*legacy).use,
	"requestComputer":                            (*legacy).newComputer,
	"generateComputerCertificate":                (*legacy).computerCertificate,
	"revokeComputerCertificate":                  (*legacy).noComputerCertificate,
	"updateComputerPartitionRelatedInstanceList": (*legacy).related,
}

func (l *legacy) supply(c *call) (any, error) {
	if err := c.need("url", "computer_id"); err != nil {
		return nil, err
	}
	state := slap.Optional(c.form, "state")
	if state == "" {
		state = slap.Available
	}
	if err := l.master.Supply(c.r.Context(), c.who, c.get("computer_id"), c.get("url"), state); err != nil {
		return nil, err
	}
	return text("Supplied '" + c.get("url") + "' to be " + state), nil
}

func (l *legacy) configure(c *call) (any, error) {
	v, err := slap.ParseField(c.form, "xml")
	if err != nil {
		return nil, unwell(err)
	}
	configuration, err := slap.ReadConfiguration(v)
	if err != nil {
		return nil, unwell(err)
	}
	return text("done"), l.master.Format(c.r.Context(), c.who, configuration)
}

func (l *legacy) connection(c *call) (any, error) {
	if err := c.need("computer_id", "computer_partition_id"); err != nil {
		return nil, err
	}
	v, err := slap.ParseField(c.form, "connection_xml")
	if err != nil {
		return nil, unwell(err)
	}
	connection, ok := v.(slap.Dictionary)
	if !ok {
		return nil, invalid("connection_xml: expected a dictionary")
	}
	return text("done"), l.master.SetConnection(
		c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id"),
		slap.Optional(c.form, "slave_reference"), connection,
	)
}

func (l *legacy) destroyed(c *call) (any, error) {
	if err := c.need("computer_id", "computer_partition_id"); err != nil {
		return nil, err
	}
	children, err := l.master.InstanceDestroyed(c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id"))
	refusal, refused := errors.AsType[*Refusal](err)
	switch {
	case refused && refusal.Kind == compute.ErrNotFound:
		return text(refusal.Text), nil // which the reference takes for a success
	case err != nil:
		return nil, err
	case len(children) > 0:
		return text(Refused(children)), nil
	}
	return text("OK"), nil
}

const ignored text = "Ignored"

func instanceIs(state string) endpoint {
	return func(l *legacy, c *call) (any, error) {
		if err := c.need("computer_id", "computer_partition_id"); err != nil {
			return nil, err
		}
		return ignored, l.master.InstanceReported(c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id"), state)
	}
}

func (l *legacy) instanceError(c *call) (any, error) {
	if err := c.need("computer_id", "computer_partition_id", "error_log"); err != nil {
		return nil, err
	}
	return ignored, l.master.InstanceError(
		c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id"),
		slap.Optional(c.form, "slave_reference"), c.get("error_log"),
	)
}

func (l *legacy) bang(c *call) (any, error) {
	if err := c.need("computer_id", "computer_partition_id", "message"); err != nil {
		return nil, err
	}
	return text("OK"), l.master.Bang(c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id"), c.get("message"))
}

func (l *legacy) rename(c *call) (any, error) {
	if err := c.need("computer_id", "computer_partition_id", "new_name"); err != nil {
		return nil, err
	}
	return text("done"), l.master.Rename(
		c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id"),
		slap.Optional(c.form, "slave_reference"), c.get("new_name"),
	)
}

func releaseIs(state string) endpoint {
	return func(l *legacy, c *call) (any, error) {
		if err := c.need("url", "computer_id"); err != nil {
			return nil, err
		}
		return ignored, l.master.ReleaseReported(c.r.Context(), c.who, c.get("computer_id"), c.get("url"), state)
	}
}

func (l *legacy) releaseDestroyed(c *call) (any, error) {
	if err := c.need("url", "computer_id"); err != nil {
		return nil, err
	}
	return text("OK"), l.master.ReleaseDestroyed(c.r.Context(), c.who, c.get("computer_id"), c.get("url"))
}

func (l *legacy) releaseError(c *call) (any, error) {
	if err := c.need("url", "computer_id", "error_log"); err != nil {
		return nil, err
	}
	return ignored, l.master.ReleaseError(c.r.Context(), c.who, c.get("computer_id"), c.get("url"), c.get("error_log"))
}

func (l *legacy) computerBang(c *call) (any, error) {
	if err := c.need("computer_id", "message"); err != nil {
		return nil, err
	}
	return "", l.master.ComputerBang(c.r.Context(), c.who, c.get("computer_id"), c.get("message"))
}

func (l *legacy) use(c *call) (any, error) {
	if err := c.need("computer_id", "use_string"); err != nil {
		return nil, err
	}
	return ignored, l.master.Use(c.r.Context(), c.who, c.get("computer_id"), c.get("use_string"))
}

func (l *legacy) newComputer(c *call) (any, error) {
	if err := c.need("computer_title"); err != nil {
		return nil, err
	}
	guid, err := l.master.NewComputer(c.r.Context(), c.who, c.get("computer_title"), slap.Optional(c.form, "project_reference"))
	if err != nil {
		return nil, err
	}
	return &slap.Object{Class: slap.ClassComputer, Args: slap.Tuple{guid}, Attributes: slap.Dictionary{"_computer_id": guid}}, nil
}

// related takes what an instance says that it has asked for, and does nothing with it: the master
// knows.
func (l *legacy) related(c *call) (any, error) {
	if err := c.need("computer_id", "computer_partition_id"); err != nil {
		return nil, err
	}
	v, err := slap.ParseField(c.form, "instance_reference_xml")
	if err != nil {
		return nil, unwell(err)
	}
	if _, ok := v.(slap.List); !ok {
		return nil, invalid("instance_reference_xml: expected a list")
	}
	return ignored, c.who.speaks(c.get("computer_id"))
}

func (l *legacy) computerCertificate(c *call) (any, error) {
	if err := c.need("computer_id"); err != nil {
		return nil, err
	}
	return certified(l.master.ComputerCertificate(c.r.Context(), c.who, c.get("computer_id")))
}

func (l *legacy) noComputerCertificate(c *call) (any, error) {
	if err := c.need("computer_id"); err != nil {
		return nil, err
	}
	return text("OK"), l.master.RevokeComputer(c.r.Context(), c.who, c.get("computer_id"))
}
