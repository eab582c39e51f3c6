package proto_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostler-project/hostler/slapos/proto"
)

const (
	reportHead = `<journal><transaction type="Sale Packing List"><title>Resource consumptions</title><start_date></start_date>` +
		`<stop_date>2026-11-20 at 07:17:37</stop_date><reference>COMP-1</reference><currency></currency><payment_mode></payment_mode><category></category>` +
		`<arrow type="Administration"><source></source><destination></destination></arrow>`
	reportLine = `<movement><resource>cpu &amp; more</resource><title>t</title><reference>slappart0</reference><quantity>42.42</quantity>` +
		`<price>0.00</price><VAT>None</VAT><category>None</category></movement>`
	reportTail = `</transaction></journal>`
)

func TestUsageBothWays(t *testing.T) {
	sameReport(t, "report", `<?xml version="1.0"?>`+reportHead+reportLine+reportLine+reportTail)
	got, err := proto.ParseUsage("<?xml version='1.0' encoding='utf-8'?>\n" + strings.ReplaceAll(
		reportHead+reportLine+reportTail, "><", "> \n <",
	))
	want := []proto.Transaction{{Title: "Resource consumptions", Stop: "2026-11-20 at 07:17:37", Reference: "COMP-1",
		Start: " \n ", Currency: " \n ",
		PaymentMode: " \n ", Category: " \n ", Source: " \n ", Destination: " \n ",
		Movements: []proto.Movement{{
			Resource: "cpu & more", Title: "t", Reference: "slappart0", Quantity: "42.42", Price: "0.00", VAT: "None",
			Category: "None",
		}}}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf(`err = %v d = %s; want no error and d == ""`, err, d)
	}
	for _, empty := range []string{"<journal/>", "<journal></journal>"} {
		if got, err := proto.ParseUsage(empty); err != nil || len(got) != 0 {
			t.Errorf("%s: got = %v, err = %v; want no error and len(got) == 0", empty, got, err)
		}
	}
}

func TestUsageRefused(t *testing.T) {
	transaction := func(inside string) string {
		return `<journal><transaction type="Sale Packing List">` + inside + reportTail
	}
	for doc, says := range map[string]string{
		"":                                  "an empty report",
		"x":                                 "text between elements",
		"<report/>":                         "the root is not <journal>",
		"<journal>":                         "unexpected EOF",
		"<journal>x</journal>":              "text between elements",
		"<journal/><journal/>":              "after the end",
		"<journal><movement/></journal>":    "<movement> in <journal>",
		"<journal><transaction/></journal>": `type ""`,
		transaction("<cost>1</cost>"):       "<cost> in <transaction>",
		transaction("<title>a</title><title>b</title>"):                       "a second <title>",
		transaction("<title><b/></title>"):                                    "an element inside <title>",
		transaction("<arrow/><arrow/>"):                                       "a second <arrow>",
		transaction("<arrow><title/></arrow>"):                                "<title> in <arrow>",
		transaction("<movement><quantity>1</quantity><quantity/></movement>"): "a second <quantity>",
		transaction("<movement>1</movement>"):                                 "text between elements",
		"<!DOCTYPE journal><journal/>":                                        "document type",
		transaction("<title>&x;</title>"):                                     "entity",
		"<journal>" + strings.Repeat(" ", proto.MaxSize) + "</journal>":       "at most",
	} {
		got, err := proto.ParseUsage(doc)
		if got != nil || !errors.Is(err, proto.ErrMalformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("ParseUsage(%.100s) = %v, %v; want an error with %q", doc, got, err, says)
		}
	}
	_, err := proto.FormatUsage([]proto.Transaction{{Movements: []proto.Movement{{Quantity: "1\x00"}}}})
	if !errors.Is(err, proto.ErrUnwritable) || !strings.Contains(err.Error(), "transaction.quantity: ") {
		t.Errorf(`err = %v; want error proto.ErrUnwritable and err.Error() with "transaction.quantity: "`, err)
	}
}

func TestConsumption(t *testing.T) {
	const whole = "<?xml version='1.0'?>\n<consumption>\n<movement><resource>cpu</resource><title>t</title><reference>r</reference><quantity>42.42</quantity><price>0.00</price><VAT/>" +
		"<category>a</category><category>b</category></movement><movement><quantity> 1e3 </quantity><VAT/><price/><resource>x &amp; y</resource></movement></consumption>"
	got, err := proto.ParseConsumption(whole)
	want := []proto.Movement{
		{Resource: "cpu", Title: "t", Reference: "r", Quantity: "42.42", Price: "0.00", Category: "a"},
		{Resource: "x & y", Quantity: " 1e3 "},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf(`err = %v d = %s; want no error and d == ""`, err, d)
	}
	const rest = "<price/><VAT/></movement></consumption>"
	for doc, says := range map[string]string{
		"":                               "an empty consumption",
		"<journal/>":                     "the root is not <consumption>",
		"<consumption>":                  "unexpected EOF",
		"<consumption><transaction/>":    "<transaction> in <consumption>",
		"<consumption/><consumption/>":   "after the end",
		"<consumption><movement>" + rest: "without <resource>",
		"<consumption><movement><resource>a</resource><quantity>many</quantity>" + rest:            `the quantity "many" is no number`,
		"<consumption><movement><resource>a</resource><quantity>NaN</quantity>" + rest:             "is no number",
		"<consumption><movement><resource>a</resource><resource/><quantity>1</quantity>" + rest:    "a second <resource>",
		"<consumption><movement><resource>a</resource><quantity>1</quantity><cost>1</cost>" + rest: "<cost> in <movement>",
		"<!DOCTYPE consumption><consumption/>":                                                     "document type",
		"<consumption>" + strings.Repeat(" ", proto.MaxSize) + "</consumption>":                    "at most",
	} {
		got, err := proto.ParseConsumption(doc)
		if got != nil || !errors.Is(err, proto.ErrMalformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("ParseConsumption(%.100s) = %v, %v; want an error with %q", doc, got, err, says)
		}
	}
}
