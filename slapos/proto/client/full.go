package client

import (
	"context"

	"github.com/hostler-project/hostler/slapos/proto"
)

// Only the full master has the following; at a micro-master they fail with [ErrNotFound].

// Status is what the master last heard of a computer, of the instance in a partition of it, or of a
// software release on it: of the computer where both are "".
func (c *Client) Status(ctx context.Context, computer, partition, release string) (proto.Dictionary, error) {
	endpoint, query := "getComputerStatus", fields("computer_id", computer)
	switch {
	case partition != "":
		endpoint, query = "getComputerPartitionStatus", partitionFields(computer, partition, "")
	case release != "":
		endpoint, query = "getSoftwareInstallationStatus", fields("computer_id", computer, "url", release)
	}
	body, err := c.get(ctx, endpoint, query)
	v, err := c.value(endpoint, body, err)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case proto.Dictionary:
		return v, nil
	case string: // the micro-master's
		return proto.Dictionary{"text": v}, nil
	}
	return nil, c.badAnswer(endpoint, proto.Malformed("", "expected a dictionary, got %s", proto.KindOf(v)))
}

// TreeAddresses are the addresses of all instances of the tree to which the instance in a partition
// belongs.
func (c *Client) TreeAddresses(ctx context.Context, computer, partition string) ([]proto.Address, error) {
	const endpoint = "getHostingSubscriptionIpList"
	body, err := c.get(ctx, endpoint, partitionFields(computer, partition, ""))
	v, err := c.value(endpoint, body, err)
	if err != nil {
		return nil, err
	}
	addresses, err := proto.ReadAddresses(endpoint, v)
	if err != nil {
		return nil, c.badAnswer(endpoint, err)
	}
	return addresses, nil
}

// NewComputer asks for a new computer, or for the one of that title, and returns its ID.
func (c *Client) NewComputer(ctx context.Context, title, project string) (string, error) {
	const endpoint = "requestComputer"
	form := fields("computer_title", title)
	if project != "" {
		form.Set("project_reference", project)
	}
	body, err := c.post(ctx, endpoint, form)
	v, err := c.value(endpoint, body, err)
	if err != nil {
		return "", err
	}
	computer, err := proto.ReadComputer(v)
	if err != nil {
		return "", c.badAnswer(endpoint, err)
	}
	return computer.ID, nil
}

// RevokeCertificate makes the certificate of a computer worthless.
func (c *Client) RevokeCertificate(ctx context.Context, computer string) error {
	_, err := c.post(ctx, "revokeComputerCertificate", fields("computer_id", computer))
	return err
}

// SetRelated says which instances the one in a partition has asked for.
func (c *Client) SetRelated(ctx context.Context, computer, partition string, titles []string) error {
	list := make(proto.List, len(titles))
	for i, title := range titles {
		list[i] = title
	}
	return c.postXML(
		ctx, "updateComputerPartitionRelatedInstanceList", "instance_reference_xml", list,
		partitionFields(computer, partition, ""),
	)
}
