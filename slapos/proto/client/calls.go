package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
)

// Computer is the document for a node: all that is wanted on its computer.
func (c *Client) Computer(ctx context.Context, id string) (*proto.Computer, error) {
	endpoint := "getFullComputerInformation"
	body, err := c.get(ctx, endpoint, fields("computer_id", id))
	if errors.Is(err, ErrNotFound) { // an old master has it under its old name
		old, again := c.get(ctx, "getComputerInformation", fields("computer_id", id))
		if !errors.Is(again, ErrNotFound) {
			endpoint, body, err = "getComputerInformation", old, again
		}
	}
	v, err := c.value(endpoint, body, err)
	if err != nil {
		return nil, err
	}
	computer, err := proto.ReadComputer(v)
	if err != nil {
		return nil, c.badAnswer(endpoint, err)
	}
	return computer, nil
}

// Partition is one partition of a computer.
func (c *Client) Partition(ctx context.Context, computer, partition string) (*proto.Partition, error) {
	const endpoint = "registerComputerPartition"
	body, err := c.get(ctx, endpoint, fields("computer_reference", computer, "computer_partition_reference", partition))
	v, err := c.value(endpoint, body, err)
	if err != nil {
		return nil, err
	}
	p, err := proto.ReadPartition(v)
	if err != nil {
		return nil, c.badAnswer(endpoint, err)
	}
	return p, nil
}

// Request asks for an instance, or for a change of one. [ErrNotReady] says that the master has
// accepted it and has no place for it yet. Repeat the same request later to get the place.
func (c *Client) Request(ctx context.Context, q *proto.Request) (*proto.Instance, error) {
	v, err := c.RequestValue(ctx, q)
	if err != nil {
		return nil, err
	}
	instance, err := proto.ReadInstance(v)
	if err != nil {
		return nil, c.badAnswer("requestComputerPartition", err)
	}
	return instance, nil
}

// RequestValue is [Client.Request] for callers that pass the answer on as it is.
func (c *Client) RequestValue(ctx context.Context, q *proto.Request) (any, error) {
	const endpoint = "requestComputerPartition"
	form, err := q.Form()
	if err != nil {
		return nil, err
	}
	body, err := c.post(ctx, endpoint, form)
	return c.value(endpoint, body, err)
}

// Supply wants a software release [Available] or [Destroyed] on a computer.
func (c *Client) Supply(ctx context.Context, release, computer, state string) error {
	_, err := c.post(ctx, "supplySupply", fields("url", release, "computer_id", computer, "state", state))
	return err
}

// Configure says what a computer is: the dictionary that [ReadConfiguration] reads.
func (c *Client) Configure(ctx context.Context, configuration proto.Dictionary) error {
	return c.postXML(ctx, "loadComputerConfigurationFromXML", "xml", configuration, url.Values{})
}

// postXML posts the form with v as XML in one of its fields.
func (c *Client) postXML(ctx context.Context, endpoint, field string, v any, form url.Values) error {
	text, err := proto.Marshal(v)
	if err != nil {
		return proto.Within(field, err)
	}
	form.Set(field, string(text))
	_, err = c.post(ctx, endpoint, form)
	return err
}

// SetConnection publishes the connection parameters of the instance in a partition, or of the
// shared instance of that reference that it serves.
func (c *Client) SetConnection(ctx context.Context, computer, partition, shared string, parameters proto.Dictionary) error {
	form := partitionFields(computer, partition, shared)
	return c.postXML(ctx, "setComputerPartitionConnectionXml", "connection_xml", parameters, form)
}

func partitionFields(computer, partition, shared string, more ...string) url.Values {
	form := fields(append(more, "computer_id", computer, "computer_partition_id", partition)...)
	if shared != "" {
		form.Set("slave_reference", shared)
	}
	return form
}

// ReportRelease reports of a software release on a computer that it is [ReportedBuilding],
// [Available] or [Destroyed].
func (c *Client) ReportRelease(ctx context.Context, release, computer, state string) error {
	endpoint, ok := map[string]string{
		jsonapi.ReportedBuilding: "buildingSoftwareRelease", proto.Available: "availableSoftwareRelease",
		proto.Destroyed: "destroyedSoftwareRelease",
	}[state]
	if !ok {
		return proto.Unwritable("", "%q is no state of a release", state)
	}
	_, err := c.post(ctx, endpoint, fields("url", release, "computer_id", computer))
	return err
}

// ReportReleaseError reports why a software release is not there.
func (c *Client) ReportReleaseError(ctx context.Context, release, computer, log string) error {
	_, err := c.post(ctx, "softwareReleaseError", fields("url", release, "computer_id", computer, "error_log", log))
	return err
}

// ReportInstance reports of the instance in a partition that it is [Started], [Stopped] or
// [Destroyed], and returns what the master says to it: a destruction that must wait is answered
// with words, and is no error.
func (c *Client) ReportInstance(ctx context.Context, computer, partition, state string) (string, error) {
	endpoint, ok := map[string]string{
		proto.Started: "startedComputerPartition", proto.Stopped: "stoppedComputerPartition", proto.Destroyed: "destroyedComputerPartition",
	}[state]
	if !ok {
		return "", proto.Unwritable("", "%q is no state of an instance", state)
	}
	body, err := c.post(ctx, endpoint, partitionFields(computer, partition, ""))
	return string(body), err
}

// ReportInstanceError reports an error of the instance in a partition, or of the shared one with
// that reference there.
func (c *Client) ReportInstanceError(ctx context.Context, computer, partition, shared, log string) error {
	_, err := c.post(ctx, "softwareInstanceError", partitionFields(computer, partition, shared, "error_log", log))
	return err
}

// Bang asks that the tree of the instance in a partition be processed again, or with no partition
// that the computer be.
func (c *Client) Bang(ctx context.Context, computer, partition, message string) error {
	endpoint, form := "computerBang", fields("computer_id", computer, "message", message)
	if partition != "" {
		endpoint, form = "softwareInstanceBang", partitionFields(computer, partition, "", "message", message)
	}
	_, err := c.post(ctx, endpoint, form)
	return err
}

// Rename gives a new title to the instance in a partition, or to the shared one of that reference
// there.
func (c *Client) Rename(ctx context.Context, computer, partition, shared, title string) error {
	_, err := c.post(ctx, "softwareInstanceRename", partitionFields(computer, partition, shared, "new_name", title))
	return err
}

// ReportUsage reports the use of a computer; an empty report is not sent.
func (c *Client) ReportUsage(ctx context.Context, computer string, report []proto.Transaction) error {
	if len(report) == 0 {
		return nil
	}
	text, err := proto.FormatUsage(report)
	if err != nil {
		return err
	}
	_, err = c.post(ctx, "useComputer", fields("computer_id", computer, "use_string", text))
	return err
}

// Releases are the URLs of a software product's releases, the best first; of an unknown one there
// are none.
func (c *Client) Releases(ctx context.Context, product string) ([]string, error) {
	const endpoint = "getSoftwareReleaseListFromSoftwareProduct"
	body, err := c.get(ctx, endpoint, fields("software_product_reference", product))
	v, err := c.value(endpoint, body, err)
	if err != nil {
		return nil, err
	}
	list, ok := v.(proto.List)
	urls := make([]string, len(list))
	for i := range list {
		if urls[i], ok = list[i].(string); !ok {
			break
		}
	}
	if !ok {
		return nil, c.badAnswer(endpoint, proto.Malformed("", "expected a list of texts, got %s", proto.KindOf(v)))
	}
	return urls, nil
}

// Certificate is the certificate of the instance in a partition; with no partition the master makes
// a new one for the computer. A master without certificates answers empty texts.
func (c *Client) Certificate(ctx context.Context, computer, partition string) (*proto.Certificate, error) {
	endpoint := "getComputerPartitionCertificate"
	var body []byte
	var err error
	if partition == "" {
		endpoint = "generateComputerCertificate"
		body, err = c.post(ctx, endpoint, fields("computer_id", computer))
	} else {
		body, err = c.get(ctx, endpoint, partitionFields(computer, partition, ""))
	}
	v, err := c.value(endpoint, body, err)
	if err != nil {
		return nil, err
	}
	pair, err := proto.ReadCertificate(v)
	if err != nil {
		return nil, c.badAnswer(endpoint, err)
	}
	return pair, nil
}

// RevokeUser has no certificate of a user count any more, and no token for one. Only masters of
// ours do that by the network; of another it fails with [ErrNotFound].
func (c *Client) RevokeUser(ctx context.Context, user string) error {
	const op = "hostler.remove.v0.user_certificate"
	body, err := json.Marshal(map[string]string{"user": user})
	if err != nil {
		return err
	}
	_, err = c.do(
		ctx,
		call{
			op: op, method: http.MethodPost, url: c.base.JoinPath(op).String(), kind: "application/json",
			accept: "application/json", body: string(body),
		},
	)
	return err
}

// RunID is what a micro-master calls itself since its start: two URLs with the same one are the
// same master.
func (c *Client) RunID(ctx context.Context) (string, error) {
	body, err := c.get(ctx, "getRunId", nil)
	return string(body), err
}

// Call calls a method of the JSON API, and reads the answer into what answer points to.
func (c *Client) Call(ctx context.Context, name string, arguments *jsonapi.Call, answer any) error {
	m, ok := jsonapi.FindMethod(name)
	if !ok {
		return proto.Unwritable("", "there is no method %q", name)
	}
	body, err := m.Encode(arguments)
	if err != nil {
		return err
	}
	got, err := c.do(ctx, call{op: name, method: http.MethodPost, url: c.base.JoinPath(name).String(),
		kind: "application/json", accept: "application/json", body: string(body)})
	if err != nil {
		return err
	}
	return c.readJSON(name, got, answer)
}

func (c *Client) readJSON(op string, body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return c.badAnswer(op, proto.Malformed("", "not the JSON of such an answer: %v", err))
	}
	return nil
}
