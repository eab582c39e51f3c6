package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
)

// newClient makes a client for a master that a handler is.
func newClient(t *testing.T, master http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(master)
	t.Cleanup(server.Close)
	return clientOf(t, client.Options{URL: server.URL + "/prefix"})
}

// in is a document with a value.
func in(doc string) string { return "<marshal>" + doc + "</marshal>" }

func clientOf(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// calls are all legacy calls, what each sends, and what it makes of an answer.
var calls = []struct {
	do           func(context.Context, *client.Client) (any, error)
	method, path string
	fields       string // as a query
	answer       string
	want         any
}{
	{func(ctx context.Context, c *client.Client) (any, error) { return c.Computer(ctx, "C 1") }, "GET",
		"getFullComputerInformation", "computer_id=C+1",
		in(`<object id="i2" module="slapos.slap.slap" class="Computer"><tuple><string>C 1</string></tuple><dictionary id="i3"/></object>`),
		&proto.Computer{ID: "C 1"}},
	{func(ctx context.Context, c *client.Client) (any, error) { return c.Partition(ctx, "C", "p") }, "GET", "registerComputerPartition",
		"computer_reference=C&computer_partition_reference=p",
		in(
			`<object id="i2" module="slapos.slap.slap" class="ComputerPartition"><tuple><string>C</string><string>p</string><none/></tuple><dictionary id="i3"/></object>`,
		),
		&proto.Partition{Computer: "C", ID: "p"}},
	{func(ctx context.Context, c *client.Client) (any, error) {
		return c.Request(ctx, &proto.Request{Release: "u", Title: "é&"})
	}, "POST", "requestComputerPartition",
		"software_release=u&software_type=default&partition_reference=%C3%A9%26&partition_parameter_xml=" + url.QueryEscape(in(`<dictionary id="i2"/>`)) +
			"&filter_xml=" + url.QueryEscape(in(`<dictionary id="i2"/>`)) + "&state=" + url.QueryEscape(in("<none/>")) + "&shared_xml=" + url.QueryEscape(in("<bool>0</bool>")),
		in(
			`<object id="i2" module="slapos.slap.slap" class="SoftwareInstance"><tuple/><dictionary id="i3"><string>slap_computer_id</string><string>C</string></dictionary></object>`,
		),
		&proto.Instance{Computer: "C"}},
	{func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.Supply(ctx, "u", "C", proto.Available)
	}, "POST", "supplySupply",
		"url=u&computer_id=C&state=available", "Supplied 'u' to be available", nil},
	{func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.Configure(ctx, proto.Dictionary{"reference": "C"})
	}, "POST", "loadComputerConfigurationFromXML",
		"xml=" + url.QueryEscape(in(`<dictionary id="i2"><string>reference</string><string>C</string></dictionary>`)), "done", nil},
	{func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.SetConnection(ctx, "C", "p", "_s", proto.Dictionary{})
	}, "POST", "setComputerPartitionConnectionXml",
		"computer_id=C&computer_partition_id=p&slave_reference=_s&connection_xml=" + url.QueryEscape(in(`<dictionary id="i2"/>`)),
		"done", nil},
	{func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.ReportRelease(ctx, "u", "C", jsonapi.ReportedBuilding)
	}, "POST", "buildingSoftwareRelease", "url=u&computer_id=C", "Ignored", nil},
	{func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.ReportRelease(ctx, "u", "C", proto.Available)
	}, "POST", "availableSoftwareRelease", "url=u&computer_id=C", "Ignored", nil},
	{func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.ReportRelease(ctx, "u", "C", proto.Destroyed)
	}, "POST", "destroyedSoftwareRelease", "url=u&computer_id=C", "OK", nil},
	{func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.ReportReleaseError(ctx, "u", "C", "log")
	}, "POST", "softwareReleaseError", "url=u&computer_id=C&error_log=log", "Ignored", nil},
	{func(ctx context.Context, c *client.Client) (any, error) {
		return c.ReportInstance(ctx, "C", "p", proto.Started)
	}, "POST", "startedComputerPartition", "computer_id=C&computer_partition_id=p", "Ignored", "Ignored"},
	{func(ctx context.Context, c *client.Client) (any, error) {
		return c.ReportInstance(ctx, "C", "p", proto.Stopped)
	}, "POST", "stoppedComputerPartition", "computer_id=C&computer_partition_id=p", "Ignored", "Ignored"},
	{func(ctx context.Context, c *client.Client) (any, error) {
		return c.ReportInstance(ctx, "C", "p", proto.Destroyed)
	}, "POST", "destroyedComputerPartition", "computer_id=C&computer_partition_id=p", "Not destroying yet", "Not destroying yet"},
	{func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.ReportInstanceError(ctx, "C", "p", "", "log")
	}, "POST", "softwareInstanceError", "computer_id=C&computer_partition_id=p&error_log=log", "Ignored", nil},
	{func(ctx context.Context, c *client.Client) (any, error) { return nil, c.Bang(ctx, "C", "p", "m") }, "POST", "softwareInstanceBang",
		"computer_id=C&computer_partition_id=p&message=m", "OK", nil},
	{func(ctx context.Context, c *client.Client) (any, error) { return nil, c.Bang(ctx, "C", "", "m") }, "POST", "computerBang",
		"computer_id=C&message=m", in("<string></string>"), nil},
	{func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.Rename(ctx, "C", "p", "_s", "n")
	}, "POST",
		"softwareInstanceRename",
		"computer_id=C&computer_partition_id=p&slave_reference=_s&new_name=n", "done", nil},
	{func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.ReportUsage(ctx, "C", []proto.Transaction{{Title: "t"}})
	}, "POST", "useComputer",
		"computer_id=C&use_string=" + url.QueryEscape(`<?xml version='1.0' encoding='utf-8'?><journal><transaction type="Sale Packing List"><title>t</title><start_date></start_date><stop_date></stop_date>`+
			`<reference></reference><currency></currency><payment_mode></payment_mode><category></category><arrow type="Administration"><source></source><destination></destination></arrow>`+
			`</transaction></journal>`), "OK", nil},
	{func(ctx context.Context, c *client.Client) (any, error) { return c.Releases(ctx, "kvm") }, "GET",
		"getSoftwareReleaseListFromSoftwareProduct",
		"software_product_reference=kvm", in(`<list id="i2"><string>u</string></list>`), []string{"u"}},
	{func(ctx context.Context, c *client.Client) (any, error) { return c.Certificate(ctx, "C", "p") }, "GET",
		"getComputerPartitionCertificate",
		"computer_id=C&computer_partition_id=p",
		in(`<dictionary id="i2"><string>certificate</string><string>c</string><string>key</string><string></string></dictionary>`),
		&proto.Certificate{Certificate: "c"}},
	{func(ctx context.Context, c *client.Client) (any, error) { return c.Certificate(ctx, "C", "") }, "POST", "generateComputerCertificate",
		"computer_id=C", in(`<dictionary id="i2"><string>key</string><string>k</string></dictionary>`), &proto.Certificate{Key: "k"}},
	{func(ctx context.Context, c *client.Client) (any, error) { return c.RunID(ctx) }, "GET", "getRunId", "", "abc", "abc"},
	{func(ctx context.Context, c *client.Client) (any, error) { return c.Status(ctx, "C", "", "") }, "GET",
		"getComputerStatus", "computer_id=C",
		in(`<dictionary id="i2"><string>text</string><string>#access</string></dictionary>`), proto.Dictionary{"text": "#access"}},
	{func(ctx context.Context, c *client.Client) (any, error) { return c.Status(ctx, "C", "p", "") }, "GET", "getComputerPartitionStatus",
		"computer_id=C&computer_partition_id=p", in("<string>Not implemented.</string>"), proto.Dictionary{"text": "Not implemented."}},
	{
		func(ctx context.Context, c *client.Client) (any, error) { return c.Status(ctx, "C", "", "u") }, "GET",
		"getSoftwareInstallationStatus",
		"computer_id=C&url=u", in(`<dictionary id="i2"/>`), proto.Dictionary{}},
	{func(ctx context.Context, c *client.Client) (any, error) { return c.TreeAddresses(ctx, "C", "p") }, "GET",
		"getHostingSubscriptionIpList",
		"computer_id=C&computer_partition_id=p",
		in(`<list id="i2"><tuple><string>tap</string><string>::1</string></tuple></list>`),
		[]proto.Address{{Interface: "tap", IP: "::1"}}},
	{func(ctx context.Context, c *client.Client) (any, error) { return c.NewComputer(ctx, "t", "P") }, "POST",
		"requestComputer", "computer_title=t&project_reference=P",
		in(
			`<object id="i2" module="slapos.slap.slap" class="Computer"><tuple><string>COMP-7</string></tuple><dictionary id="i3"/></object>`,
		),
		"COMP-7"},
	{
		func(ctx context.Context, c *client.Client) (any, error) {
			return nil, c.RevokeCertificate(ctx, "C")
		}, "POST",
		"revokeComputerCertificate", "computer_id=C", "", nil,
	},
	{func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.SetRelated(ctx, "C", "p", []string{"a"})
	}, "POST", "updateComputerPartitionRelatedInstanceList",
		"computer_id=C&computer_partition_id=p&instance_reference_xml=" + url.QueryEscape(in(`<list id="i2"><string>a</string></list>`)),
		"", nil},
}

func TestClientCalls(t *testing.T) {
	for _, call := range calls {
		var method, path, agent string
		var form url.Values
		c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			method, path, form, agent = r.Method, r.URL.Path, r.Form, r.UserAgent()
			_, _ = w.Write([]byte(call.answer))
		})
		got, err := call.do(t.Context(), c)
		if err != nil {
			t.Errorf("%s: err = %v; want no error", call.path, err)
			continue
		}
		want, err := url.ParseQuery(call.fields)
		if err != nil {
			t.Fatal(err)
		}
		if method != call.method || path != "/prefix/"+call.path || agent != "hostler" {
			t.Errorf("%s: %s %s by %s", call.path, method, path, agent)
		}
		if d := cmp.Diff(want, form); d != "" {
			t.Errorf(`%s: d = %s; want d == ""`, call.path, d)
		}
		if d := cmp.Diff(call.want, got); d != "" {
			t.Errorf(`%s: d = %s; want d == ""`, call.path, d)
		}
	}
}

// Whatever a master answers instead of what a call wants is an error of the call, and of its kind.
func TestClientErrors(t *testing.T) {
	page := func(reason string) string {
		return "<!doctype html>\n<title>x</title>\n<h1>x</h1>\n<p>" + reason + "</p>\n"
	}
	for _, e := range []struct {
		status int
		body   string
		kind   error
		says   string
	}{
		{
			404, page("No free computer partition found for: it&#39;s"), client.ErrNotFound,
			": not found: No free computer partition found for: it's",
		},
		{408, page("Resource not ready"), client.ErrNotReady, ": not ready yet: Resource not ready"},
		{403, `{"status": 403, "type": "Forbidden", "title": "C is not\n registered."}`, client.ErrDenied,
			": denied: C is not registered."},
		{401, "", client.ErrDenied, ": denied"},
		{400, "plain \x1b[31mtext", client.ErrRefused, ": refused with status 400: plain [31mtext"},
		{500, "<html><b>broken</b>", client.ErrRefused, ": refused with status 500: broken"},
		{503, "", client.ErrRefused, ": refused with status 503"},
		{502, strings.Repeat("é", 100000), client.ErrRefused, strings.Repeat("é", 500) + "…"},
		{200, "<marshal>", proto.ErrMalformed, ": malformed: not XML"},
		{200, in("<complex>1 1</complex>"), proto.ErrMalformed, "expected"},
		{200, "<marshal><string>" + strings.Repeat("x", proto.MaxSize), proto.ErrMalformed, "more than 16777216 bytes"},
	} {
		c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(e.status)
			_, _ = w.Write([]byte(e.body))
		})
		_, err := c.Request(t.Context(), &proto.Request{Release: "u", Title: "t"})
		fault, ok := errors.AsType[*client.Error](err)
		if !ok || !errors.Is(err, e.kind) || fault.Status != e.status || fault.Op != "requestComputerPartition" ||
			!strings.Contains(err.Error(), e.says) {
			t.Errorf(
				"e.status = %d e.body = %.60q: err = %.300v"+
					"; want ok and error e.kind and fault.Status == e.status and fault.Op == "+
					`"requestComputerPartition" and err.Error() with e.says`,
				e.status, e.body, err,
			)
		}
	}
	for _, call := range calls {
		refused := newClient(t, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusNotFound) })
		if _, err := call.do(t.Context(), refused); !errors.Is(err, client.ErrNotFound) || !strings.Contains(err.Error(), call.path) {
			t.Errorf("%s: err = %v; want error client.ErrNotFound and err.Error() with call.path", call.path, err)
		}
		if !strings.HasPrefix(call.answer, "<") || call.path == "computerBang" {
			continue
		}
		other := newClient(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(in("<float>1.5</float>"))) })
		if _, err := call.do(t.Context(), other); !errors.Is(err, proto.ErrMalformed) || !strings.Contains(err.Error(), call.path) {
			t.Errorf("%s: err = %v; want error proto.ErrMalformed and err.Error() with call.path", call.path, err)
		}
	}
}

func TestClientRefusesWhatItCannotSend(t *testing.T) {
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) { t.Errorf("asked %s", r.URL) })
	ctx := t.Context()
	bad := proto.Dictionary{"a": "\x01"}
	_, request := c.Request(ctx, &proto.Request{Parameters: bad})
	_, state := c.ReportInstance(ctx, "C", "p", "running")
	for name, err := range map[string]error{
		"request": request, "state": state, "configure": c.Configure(ctx, bad),
		"connection": c.SetConnection(ctx, "C", "p", "", bad), "release": c.ReportRelease(ctx, "u", "C", "started"),
		"usage":  c.ReportUsage(ctx, "C", []proto.Transaction{{Title: "\x01"}}),
		"method": c.Call(ctx, "nothing", &jsonapi.Call{}, nil),
		"keys":   c.Call(ctx, "slapos.get.v0.hateoas_url", &jsonapi.Call{Title: "t"}, nil),
	} {
		if !errors.Is(err, proto.ErrUnwritable) {
			t.Errorf("%s: err = %v; want error proto.ErrUnwritable", name, err)
		}
	}
	if err := c.ReportUsage(ctx, "C", nil); err != nil {
		t.Error(err)
	}
}

// An old master knows the computer's information under its old name only.
func TestClientOldMaster(t *testing.T) {
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/prefix/getComputerInformation" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(
			[]byte(
				in(
					`<object id="i2" module="slapos.slap.slap" class="Computer"><tuple><string>C</string></tuple><dictionary id="i3"/></object>`,
				),
			),
		)
	})
	if got, err := c.Computer(t.Context(), "C"); err != nil || got.ID != "C" {
		t.Errorf(`got = %+v, err = %v; want no error and got.ID == "C"`, got, err)
	}
}

func TestClientJSON(t *testing.T) {
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		var keys map[string]any
		if err := json.NewDecoder(r.Body).Decode(&keys); err != nil || r.Method != "POST" ||
			r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Accept") != "application/json" {
			t.Errorf(
				"err = %v r.Method = %s r.Header = %v"+
					`; want no error and r.Method == "POST" and r.Header.Get("Content-Type") == `+
					`"application/json" and r.Header.Get("Accept") == "application/json"`,
				err, r.Method, r.Header,
			)
		}
		switch r.URL.Path {
		case "/prefix/slapos.get.v0.instance_tree":
			_, _ = w.Write([]byte(`{"title": "t", "parameters": {"a": 5.0}, "ip_list": [["tap0", "::1"]]}`))
		case "/prefix/slapos.get.v0.hateoas_url":
			_, _ = w.Write([]byte(`[]`))
		default:
			t.Errorf("r.URL = %s", r.URL)
		}
	})
	var got jsonapi.Document
	err := c.Call(t.Context(), "slapos.get.v0.instance_tree", &jsonapi.Call{Title: "t"}, &got)
	if d := cmp.Diff(
		jsonapi.Document{Title: "t", Parameters: proto.Dictionary{"a": 5.0}, Addresses: [][2]string{{"tap0", "::1"}}}, got,
	); err != nil || d != "" {
		t.Errorf(`err = %v d = %s; want no error and d == ""`, err, d)
	}
	if err := c.Call(t.Context(), "slapos.get.v0.hateoas_url", &jsonapi.Call{}, &got); !errors.Is(err, proto.ErrMalformed) {
		t.Error(err)
	}
}

func TestClientHypermedia(t *testing.T) {
	for _, found := range []string{"legacy", "json", "option"} {
		asked := map[string]int{}
		var server *httptest.Server
		server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked[r.URL.Path]++
			switch {
			case r.URL.Path == "/getHateoasUrl" && found == "legacy":
				_, _ = w.Write([]byte(server.URL + "/h/"))
			case r.URL.Path == "/slapos.get.v0.hateoas_url" && found == "json":
				_, _ = w.Write([]byte(`{"hateoas_url": "` + server.URL + `/h/"}`))
			case r.URL.Path == "/h/" && r.URL.RawQuery == "":
				_, _ = w.Write([]byte(`{"_links": {"raw_search": {"href": "` + server.URL + `/h/?mode=search{&query,select_list*,limit}"}, "traverse": {"href": "` +
					server.URL + `/h/?mode=traverse&relative_url={relative_url}&view={view}"}}}`))
			case r.URL.Query().Get("mode") == "search":
				if q := r.URL.Query(); q.Get("query") != `portal_type:"Instance Tree" AND validation_state:validated AND title:="a & b"` ||
					len(q["select_list"]) != 2 || q.Get("limit") != "1000" {
					t.Errorf("r.URL = %s", r.URL)
				}
				_, _ = w.Write([]byte(`{"_embedded": {"contents": [{"title": "a & b", "relative_url": "/h/it"}]}}`))
			case r.URL.Query().Get("mode") == "traverse":
				http.Redirect(w, r, r.URL.Query().Get("relative_url")+"?view="+r.URL.Query().Get("view"), http.StatusFound)
			case r.URL.Path == "/h/computer_module/Base_getComputerToken":
				_, _ = w.Write([]byte(`{"access_token": "tok"}`))
			case r.URL.Path == "/h/it" && r.URL.Query().Get("view") == "slaposjs_view":
				_, _ = w.Write(
					[]byte(
						`{"_embedded": {"_view": {"my_reference": {"key": "k", "type": "StringField", "default": "r"}}}, "_links": {"type": {"name": "Instance Tree"}}}`,
					),
				)
			default:
				http.NotFound(w, r)
			}
		}))
		t.Cleanup(server.Close)
		o := client.Options{URL: server.URL}
		if found == "option" {
			o.RestURL = server.URL + "/h/"
		}
		c := clientOf(t, o)
		q := hypermedia.Query{Kind: "Instance Tree", Field: "title", Value: "a & b"}
		results, err := c.Hypermedia().Search(t.Context(), q, "title", "relative_url")
		if err != nil || len(results) != 1 || results[0]["title"] != "a & b" {
			t.Fatalf(
				"%s: results = %v, err = %v"+
					`; want no error and len(results) == 1 and results[0]["title"] == "a & b"`,
				found, results, err,
			)
		}
		form, err := c.Hypermedia().Form(t.Context(), results[0]["relative_url"].(string))
		if err != nil || form.Values()["reference"] != "r" || form.Links.Type.Name != "Instance Tree" {
			t.Errorf(
				"%s: form = %+v, err = %v"+
					`; want no error and form.Values()["reference"] == "r" and form.Links.Type.Name == `+
					`"Instance Tree"`,
				found, form, err,
			)
		}
		if token, err := c.Hypermedia().ComputerToken(t.Context()); token != "tok" || err != nil {
			t.Errorf(`%s: token = %q, err = %v; want token == "tok" and no error`, found, token, err)
		}
		if asked["/getHateoasUrl"]+asked["/slapos.get.v0.hateoas_url"] > 2 {
			t.Errorf("%s: asked again where the hypermedia API is: %v", found, asked)
		}
		if asked["/h/"] != 3 { // the root once, a search, a way to a thing
			t.Errorf(`%s: asked = %v; want asked["/h/"] == 3`, found, asked)
		}
	}
	none := newClient(t, http.NotFound)
	if _, err := none.Hypermedia().Search(t.Context(), hypermedia.Query{Kind: "Compute Node"}); !errors.Is(err, client.ErrNotFound) {
		t.Error(err)
	}
	if _, err := none.Hypermedia().Form(t.Context(), "/x"); !errors.Is(err, client.ErrNotFound) {
		t.Error(err)
	}
	if _, err := none.Hypermedia().ComputerToken(t.Context()); !errors.Is(err, client.ErrNotFound) {
		t.Error(err)
	}
	for _, link := range []string{"javascript:1", "{", "/relative"} {
		c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/prefix/getHateoasUrl" {
				_, _ = w.Write([]byte("http://" + r.Host + "/root"))
				return
			}
			_, _ = w.Write([]byte(`{"_links": {"traverse": {"href": "` + link + `"}}}`))
		})
		if _, err := c.Hypermedia().Form(t.Context(), "/x"); !errors.Is(err, proto.ErrMalformed) {
			t.Errorf("%s: err = %v; want error proto.ErrMalformed", link, err)
		}
	}
}

func TestClientUnreachable(t *testing.T) {
	gone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close() // without an answer
		}
	}))
	t.Cleanup(gone.Close)
	c := clientOf(t, client.Options{URL: "http://user:s3cret@" + strings.TrimPrefix(gone.URL, "http://")})
	_, err := c.Computer(t.Context(), "C")
	if !errors.Is(err, client.ErrUnreachable) || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}

	hangs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("<marshal>"))
		w.(http.Flusher).Flush()
		<-r.Context().Done() // until the client has given up
	}))
	t.Cleanup(hangs.Close)
	c = clientOf(t, client.Options{URL: hangs.URL, Timeout: 50 * time.Millisecond})
	if _, err := c.Computer(t.Context(), "C"); !errors.Is(err, client.ErrUnreachable) ||
		!strings.Contains(err.Error(), "no answer within 50ms") {
		t.Error(err)
	}
	c = clientOf(t, client.Options{URL: hangs.URL})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the caller has gone")
	cancel(why)
	if _, err := c.Computer(ctx, "C"); !errors.Is(err, why) || errors.Is(err, client.ErrUnreachable) {
		t.Error(err)
	}
}

func TestClientOptions(t *testing.T) {
	for text, says := range map[string]string{
		"": "is like", "ftp://x/": "is like", "slap.example.com": "is like", "http:///path": "is like",
		"http://x/?a=b": "is like", "http://u:s3cret@x/#f": "…@x/#f", "http://[::1": "is like",
	} {
		_, err := client.New(client.Options{URL: text})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf(`%s: err = %v; want an error and err.Error() with says and err.Error() without "s3cret"`, text, err)
		}
	}
	for _, text := range []string{"http://2001:db8::1/a", "http://[2001:db8::1]:80", "https://slap.example.com", "http://10.0.0.1:5000/"} {
		if _, err := client.New(client.Options{URL: text}); err != nil {
			t.Errorf("%s: err = %v; want no error", text, err)
		}
	}
}

// However many results there are, and however a master tells of them, none is left out.
func TestSearchTellsAll(t *testing.T) {
	for name, search := range map[string]func(base string, r *http.Request) string{
		"limit": func(_ string, r *http.Request) string {
			limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
			if err != nil {
				t.Error(err)
			}
			return things(0, min(limit, 2345)) + "}"
		},
		"no limit": func(string, *http.Request) string { return things(0, 1000) + "}" },
		"pages": func(_ string, r *http.Request) string {
			from, _ := strconv.Atoi(r.URL.Query().Get("from"))
			if from == 900 {
				return things(from, 999) + "}"
			}
			return things(from, from+100) + fmt.Sprintf(`,"_links":{"next":{"href":"/search?from=%d"}}}`, from+100)
		},
	} {
		template := map[string]string{
			"limit": "/search{?query,select_list*,limit}", "no limit": "/search?query={query}",
			"pages": "/search?query={query}",
		}[name]
		want := map[string]int{"limit": 2345, "no limit": 1000, "pages": 999}[name]
		c := searching(t, template, search)
		all, err := c.Hypermedia().Search(t.Context(), hypermedia.Query{Kind: hypermedia.QueryTrees}, "title")
		if err != nil || len(all) != want || all[want-1]["title"] != strconv.Itoa(want-1) {
			t.Errorf(
				"%s: len(all) = %d, err = %v"+
					`; want no error and len(all) == want and all[want-1]["title"] == strconv.Itoa(want-1)`,
				name, len(all), err,
			)
		}
	}
	c := searching(t, "/search?query={query}", func(string, *http.Request) string {
		return things(0, 1) + `,"_links":{"next":{"href":"/search?from=1"}}}`
	})
	all, err := c.Hypermedia().Search(t.Context(), hypermedia.Query{Kind: hypermedia.QueryTrees}, "title")
	if !errors.Is(err, proto.ErrMalformed) {
		t.Errorf("pages in a circle: %d, %v", len(all), err)
	}
}

// A title with quotes is found at masters that take what stands in a query as it is, and at those
// that unescape it; and no other is taken for it.
func TestSearchQuoted(t *testing.T) {
	for _, kept := range []string{`a \"b\"`, `a "b"`} {
		c := searching(t, "/search?query={query}", func(_ string, r *http.Request) string {
			_, rest, _ := strings.Cut(r.URL.Query().Get("query"), `title:="`)
			if value := strings.TrimSuffix(rest, `"`); value == kept {
				text, _ := json.Marshal(map[string]any{"_embedded": map[string]any{"contents": []any{map[string]any{"title": `a "b"`}}}})
				return string(text)
			} else if value == `a "b"` {
				return `{"_embedded":{"contents":[{"title":"another"}]}}`
			}
			return things(0, 0) + "}"
		})
		for value, want := range map[string]int{`a "b"`: 1, `a "c"`: 0} {
			q := hypermedia.Query{Kind: hypermedia.QueryTrees, Field: "title", Value: value}
			all, err := c.Hypermedia().Search(t.Context(), q, "title")
			if err != nil || len(all) != want || want == 1 && all[0]["title"] != value {
				t.Errorf("%s kept as %s: %v, %v", value, kept, all, err)
			}
		}
	}
}

// searching is the client of a master that answers searches so.
func searching(t *testing.T, template string, search func(base string, r *http.Request) string) *client.Client {
	t.Helper()
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/search" {
			_, _ = io.WriteString(w, search(server.URL, r))
			return
		}
		text, _ := json.Marshal(hypermedia.Root{Links: hypermedia.RootLinks{Search: hypermedia.Link{Href: server.URL + template}}})
		_, _ = w.Write(text)
	}))
	t.Cleanup(server.Close)
	c, err := client.New(client.Options{URL: server.URL, RestURL: server.URL + "/hateoas/"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// things are results with numbers for titles, but for their last bracket.
func things(from, to int) string {
	texts := make([]string, 0, to-from)
	for i := from; i < to; i++ {
		texts = append(texts, fmt.Sprintf(`{"title":"%d"}`, i))
	}
	return `{"_embedded":{"contents":[` + strings.Join(texts, ",") + `]}`
}
