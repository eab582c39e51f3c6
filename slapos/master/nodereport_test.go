package master_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/proto/nodereport"
)

// What a node tells of what runs on it is kept, for itself and whose computer it is; a node tells
// of itself alone.
func TestNodeReport(t *testing.T) {
	r := newRig(t, master.Options{})
	r.format("C", 1)
	r.format("D", 1)
	srv := httptest.NewServer(
		web.New(r.Master, wire.Options{Who: func(*http.Request) (access.Who, error) { return access.Who{Computer: "C"}, nil }}),
	)
	defer srv.Close()
	c, err := client.New(client.Options{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, at := t.Context(), time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)
	if n, err := r.Computers.NodeReport(ctx, access.Anybody, "C"); n != nil || err != nil {
		t.Errorf("n = %v, err = %v; want n == nil and no error", n, err)
	}
	said := &nodereport.Report{Computer: "C", Partitions: []nodereport.Partition{{ID: "p0",
		Processes: []nodereport.Process{{Name: "server-on-watch", State: "RUNNING", PID: 7, Started: at, CPU: 1.5, Memory: 1 << 20}},
		Promises: []nodereport.Promise{{
			Name: "check-url.py", Failed: true, Text: "no answer", At: at, Hours: strings.Repeat("-9", 12), Until: at,
		}}}}}
	for range 2 { // the last counts
		if err := c.ReportNode(ctx, said); err != nil {
			t.Fatal(err)
		}
	}
	n, err := r.Computers.NodeReport(ctx, access.Who{Computer: "C"}, "C")
	if err != nil || n == nil || n.At.IsZero() || !reflect.DeepEqual(n.Report, *said) {
		t.Fatalf("n = %+v, err = %v; want no error and n != nil and !n.At.IsZero() and n.Report == *said", n, err)
	}
	if again, when, err := c.NodeReport(ctx, "C"); err != nil || !reflect.DeepEqual(again, said) || !when.Equal(n.At) {
		t.Errorf("again = %+v, when = %s, err = %v; want no error and again == said and when.Equal(n.At)", again, when, err)
	}
	if _, _, err := c.NodeReport(ctx, "D"); !errors.Is(err, client.ErrDenied) {
		t.Errorf("of another: %v", err)
	}
	if err := c.ReportNode(ctx, &nodereport.Report{Computer: "D"}); !errors.Is(err, client.ErrDenied) {
		t.Errorf("for another: %v", err)
	}
	if _, err := r.Computers.NodeReport(ctx, access.Who{Computer: "C"}, "D"); err == nil {
		t.Error("another's is read")
	}
	h := web.New(r.Master, wire.Options{})
	for body, want := range map[string]int{
		`{"computer_guid":"C","compute_partition_list":[{"partition_id":"p0","from":"the future"}]}`:   http.StatusOK,
		`{"computer_guid":"E","compute_partition_list":[]}`:                                            http.StatusForbidden,
		`{"computer_guid":"C","compute_partition_list":[{"partition_id":"p0"},{"partition_id":"p0"}]}`: http.StatusBadRequest,
		`{"compute_partition_list":[]}`:                                                                http.StatusBadRequest,
		`{"computer_guid":7}`:                                                                          http.StatusBadRequest,
		`[]`:                                                                                           http.StatusBadRequest,
		`{} {}`:                                                                                        http.StatusBadRequest,
		``:                                                                                             http.StatusBadRequest,
		`{"computer_guid":"C","compute_partition_list":[` + strings.Repeat(`{},`, 20000) + `{}]}`: http.StatusBadRequest,
	} {
		if status, answer := call(ctx, h, nodereport.Method, body); status != want {
			t.Errorf("%.80s: status = %d answer = %s; want status == want", body, status, answer)
		}
	}
	if status, body := visit(t, h, "/"+nodereport.Method+"?computer_guid=C"); status != http.StatusOK ||
		!strings.Contains(body, `"partition_id":"p0"`) {
		t.Errorf("status = %d body = %s; want status == http.StatusOK and body with `\"partition_id\":\"p0\"`", status, body)
	}
	if status, _ := visit(t, h, "/"+nodereport.Method+"?computer_guid=D"); status != http.StatusForbidden {
		t.Error(status)
	}
}
