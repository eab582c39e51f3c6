package proto

import "context"

// What follows only the full master has; of a micro-master it fails with [ErrNotFound].

// Status is what the master last heard of a computer, of the instance in a partition of it, or of a
// software release on it: of the computer where both are "".
func (c *Client) Status(ctx context.Context, computer, partition, release string) (Dictionary, error) {
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
	case Dictionary:
		return v, nil
	case string: // the micro-master's
		return Dictionary{"text": v}, nil
	}
	return nil, c.badAnswer(endpoint, malformed("", "expected a dictionary, got %s", kindOf(v)))
}

// TreeAddresses are the addresses of all instances of the tree to which the instance in a partition
// belongs.
func (c *Client) TreeAddresses(ctx context.Context, computer, partition string) ([]Address, error) {
	const endpoint = "getHostingSubscriptionIpList"
	body, err := c.get(ctx, endpoint, partitionFields(computer, partition, ""))
	v, err := c.value(endpoint, body, err)
	if err != nil {
		return nil, err
	}
	r := reader{of: "addresses"}
	addresses := r.addresses(Dictionary{endpoint: v}, endpoint)
	if r.err != nil {
		return nil, c.badAnswer(endpoint, r.err)
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
	computer, err := ReadComputer(v)
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
	list := make(List, len(titles))
	for i, title := range titles {
		list[i] = title
	}
	return c.postXML(
		ctx, "updateComputerPartitionRelatedInstanceList", "instance_reference_xml", list,
		partitionFields(computer, partition, ""),
	)
}
