package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
	"github.com/hostler-project/hostler/slapos/slaptest"
)

// again does by our client what the reference's client did in an exchange.
func again(ctx context.Context, c *client.Client, e *slaptest.Exchange, f url.Values) (bool, error) {
	var err error
	computer, partition, shared := f.Get("computer_id"), f.Get("computer_partition_id"), proto.Optional(f, "slave_reference")
	field := func(name string) any {
		v, bad := proto.ParseField(f, name)
		err = errors.Join(err, bad)
		return v
	}
	switch endpoint, _, _ := strings.Cut(strings.TrimPrefix(e.Path, "/"), "?"); endpoint {
	case "getFullComputerInformation":
		_, err = c.Computer(ctx, computer)
	case "registerComputerPartition":
		_, err = c.Partition(ctx, f.Get("computer_reference"), f.Get("computer_partition_reference"))
	case "requestComputerPartition":
		q, bad := proto.ParseRequest(f)
		if bad != nil {
			return false, nil // no client sends it
		}
		_, err = c.Request(ctx, q)
	case "supplySupply":
		err = c.Supply(ctx, f.Get("url"), computer, f.Get("state"))
	case "loadComputerConfigurationFromXML":
		err = c.Configure(ctx, field("xml").(proto.Dictionary))
	case "setComputerPartitionConnectionXml":
		err = c.SetConnection(ctx, computer, partition, shared, field("connection_xml").(proto.Dictionary))
	case "buildingSoftwareRelease":
		err = c.ReportRelease(ctx, f.Get("url"), computer, jsonapi.ReportedBuilding)
	case "availableSoftwareRelease":
		err = c.ReportRelease(ctx, f.Get("url"), computer, proto.Available)
	case "destroyedSoftwareRelease":
		err = c.ReportRelease(ctx, f.Get("url"), computer, proto.Destroyed)
	case "softwareReleaseError":
		err = c.ReportReleaseError(ctx, f.Get("url"), computer, f.Get("error_log"))
	case "startedComputerPartition":
		_, err = c.ReportInstance(ctx, computer, partition, proto.Started)
	case "stoppedComputerPartition":
		_, err = c.ReportInstance(ctx, computer, partition, proto.Stopped)
	case "destroyedComputerPartition":
		_, err = c.ReportInstance(ctx, computer, partition, proto.Destroyed)
	case "softwareInstanceError":
		err = c.ReportInstanceError(ctx, computer, partition, shared, f.Get("error_log"))
	case "softwareInstanceBang":
		err = c.Bang(ctx, computer, partition, f.Get("message"))
	case "computerBang":
		err = c.Bang(ctx, computer, "", f.Get("message"))
	case "softwareInstanceRename":
		err = c.Rename(ctx, computer, partition, shared, f.Get("new_name"))
	case "getSoftwareReleaseListFromSoftwareProduct":
		if !f.Has("software_product_reference") {
			return false, nil
		}
		_, err = c.Releases(ctx, f.Get("software_product_reference"))
	case "getComputerPartitionCertificate":
		_, err = c.Certificate(ctx, computer, partition)
	case "generateComputerCertificate":
		_, err = c.Certificate(ctx, computer, "")
	case "revokeComputerCertificate":
		err = c.RevokeCertificate(ctx, computer)
	case "getComputerStatus", "getComputerPartitionStatus":
		_, err = c.Status(ctx, computer, partition, "")
	case "getHostingSubscriptionIpList":
		_, err = c.TreeAddresses(ctx, computer, partition)
	case "requestComputer":
		_, err = c.NewComputer(ctx, f.Get("computer_title"), f.Get("project_reference"))
	case "updateComputerPartitionRelatedInstanceList":
		var titles []string
		for _, title := range field("instance_reference_xml").(proto.List) {
			titles = append(titles, title.(string))
		}
		err = c.SetRelated(ctx, computer, partition, titles)
	case "getRunId":
		_, err = c.RunID(ctx)
	default:
		// a usage report, whose text is the reference's own; the JSON and hypermedia APIs
		return false, nil
	}
	return true, err
}

// Our client sends what the reference's sent, and understands what the reference's master answered.
func TestClientLikeTheReference(t *testing.T) {
	var now *slaptest.Exchange
	var form url.Values
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		path, _, _ := strings.Cut(now.Path, "?")
		if r.URL.Path == "/prefix/getComputerInformation" {
			http.NotFound(w, r)
			return
		}
		if r.URL.Path != "/prefix"+path || r.Method != now.Method {
			t.Errorf(
				"%s: r.Method = %s r.URL = %s"+
					`; want r.URL.Path == "/prefix"+path and r.Method == now.Method`,
				now.Name(), r.Method, r.URL,
			)
		}
		form = r.Form
		w.WriteHeader(now.Status)
		_, _ = w.Write([]byte(now.Answer))
	})
	count := 0
	for _, now = range slaptest.Exchanges(t, "") {
		asked := now.Form()
		if asked == nil {
			link, err := url.Parse(now.Path)
			if err != nil {
				t.Fatal(err)
			}
			asked = link.Query()
		}
		done, err := again(t.Context(), c, now, asked)
		if !done {
			continue
		}
		count++
		want := map[int]error{
			200: nil, 404: client.ErrNotFound, 408: client.ErrNotReady, 400: client.ErrRefused, 500: client.ErrRefused,
		}[now.Status]
		if !errors.Is(err, want) {
			t.Errorf("%s: %d and %v", now.Name(), now.Status, err)
		}
		for name := range asked {
			if name == "slave_reference" && proto.Optional(asked, name) == "" {
				asked.Del(name) // null, in the words of old clients
			}
		}
		if d := cmp.Diff(asked, form); d != "" {
			t.Errorf(`%s: d = %s; want d == ""`, now.Name(), d)
		}
	}
	if count < 120 {
		t.Errorf("only %d calls", count)
	}
}
