package legacy

import (
	"errors"
	"net/http"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/proto"
)

// readEndpoints are the endpoints that change nothing.
var readEndpoints = map[string]endpoint{
	"getFullComputerInformation":                (*endpoints).information,
	"getComputerInformation":                    (*endpoints).information,
	"registerComputerPartition":                 (*endpoints).partition,
	"getRunId":                                  func(l *endpoints, _ *call) (any, error) { return text(l.master.RunID()), nil },
	"getHateoasUrl":                             (*endpoints).hateoas,
	"getComputerPartitionCertificate":           (*endpoints).partitionCertificate,
	"getComputerStatus":                         (*endpoints).computerStatus,
	"getComputerPartitionStatus":                (*endpoints).instanceStatus,
	"getSoftwareInstallationStatus":             (*endpoints).supplyStatus,
	"getHostingSubscriptionIpList":              (*endpoints).treeAddresses,
	"getSoftwareReleaseListFromSoftwareProduct": (*endpoints).products,
}

// information answers with the computer's document and its tag, or only with the tag if the
// caller has it already.
func (l *endpoints) information(c *call) (any, error) {
	if err := c.need("computer_id"); err != nil {
		return nil, err
	}
	body, tag, err := l.master.Computers.InformationUnless(c.r.Context(), c.who, c.get("computer_id"), c.r.Header.Get("If-None-Match"))
	if err != nil {
		return nil, err
	}
	h := c.w.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache") // to be kept, and asked about
	return unless{body, tag}, nil
}

func (l *endpoints) partition(c *call) (any, error) {
	if err := c.need("computer_reference", "computer_partition_reference"); err != nil {
		return nil, err
	}
	p, err := l.master.Computers.Partition(c.r.Context(), c.who, c.get("computer_reference"), c.get("computer_partition_reference"))
	if err != nil {
		return nil, err
	}
	return p.Object(), nil
}

func (l *endpoints) hateoas(c *call) (any, error) {
	c.w.Header().Set("Cache-Control", "public, max-age=3600")
	return text(l.opt.Base(c.r) + "hateoas"), nil
}

func (l *endpoints) products(c *call) (any, error) {
	urls, err := l.master.Computers.Releases(c.get("software_product_reference"), c.get("software_release_url"))
	if err != nil {
		return nil, err
	}
	list := proto.List{}
	for _, u := range urls {
		list = append(list, u)
	}
	return list, nil
}

// partitionCertificate is that of an instance: both texts are empty where the master has no
// authority, or nothing is in the partition.
func (l *endpoints) partitionCertificate(c *call) (any, error) {
	if err := c.need("computer_id", "computer_partition_id"); err != nil {
		return nil, err
	}
	if _, err := l.master.Computers.Partition(c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id")); err != nil {
		return nil, err
	}
	n, err := l.master.Instances.FindAt(c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id"))
	if errors.Is(err, compute.ErrNotFound) {
		return certificateValue(&proto.Certificate{}), nil
	} else if err != nil {
		return nil, err
	}
	return certified(l.master.Certificates.InstanceCertificate(c.r.Context(), c.who, n.Record))
}

func certified(pair *proto.Certificate, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return certificateValue(pair), nil
}

func certificateValue(pair *proto.Certificate) proto.Dictionary {
	return proto.Dictionary{"certificate": pair.Certificate, "key": pair.Key}
}

func (l *endpoints) computerStatus(c *call) (any, error) {
	if err := c.need("computer_id"); err != nil {
		return nil, err
	}
	s, err := l.master.Statuses.ComputerStatus(c.r.Context(), c.who, c.get("computer_id"))
	return c.status(s, err)
}

func (l *endpoints) instanceStatus(c *call) (any, error) {
	if err := c.need("computer_id", "computer_partition_id"); err != nil {
		return nil, err
	}
	s, err := l.master.Statuses.InstanceStatus(c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id"))
	return c.status(s, err)
}

func (l *endpoints) supplyStatus(c *call) (any, error) {
	if err := c.need("url", "computer_id"); err != nil {
		return nil, err
	}
	s, err := l.master.Statuses.SupplyStatus(c.r.Context(), c.who, c.get("computer_id"), c.get("url"))
	return c.status(s, err)
}

// status answers with a status that may be cached for a minute. The headers are those of the
// reference.
func (c *call) status(s *master.Status, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	v := s.Value()
	body, err := proto.Marshal(v)
	if err != nil {
		return nil, access.Malformed(err)
	}
	h, tag := c.w.Header(), master.TagOf(body)
	h.Set("Cache-Control", "public, max-age=60, stale-if-error=604800")
	h.Set("Vary", "REMOTE_USER")
	h.Set("ETag", tag)
	if s.Said != nil {
		h.Set("Last-Modified", s.Said.At.UTC().Format(http.TimeFormat))
	}
	return unless{body, tag}, nil
}

func (l *endpoints) treeAddresses(c *call) (any, error) {
	if err := c.need("computer_id", "computer_partition_id"); err != nil {
		return nil, err
	}
	all, err := l.master.Computers.TreeAddresses(c.r.Context(), c.who, c.get("computer_id"), c.get("computer_partition_id"))
	list := proto.List{}
	for _, a := range all {
		list = append(list, proto.Tuple{a.Interface, a.IP})
	}
	return list, err
}
