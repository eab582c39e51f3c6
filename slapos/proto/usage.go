package proto

import (
	"encoding/xml"
	"io"
	"strconv"
	"strings"
)

// A Transaction is a part of a usage report: the use of one partition, or of one computer. All
// texts are as they were reported, numbers and dates too.
type Transaction struct {
	Title, Start, Stop              string
	Reference                       string // of the partition or computer
	Currency, PaymentMode, Category string
	Source, Destination             string
	Movements                       []Movement
}

// A Movement is how much of one resource was used.
type Movement struct {
	Resource, Title, Reference, Quantity, Price, VAT, Category string
}

func (t *Transaction) fields() []field {
	return []field{
		{"title", &t.Title}, {"start_date", &t.Start}, {"stop_date", &t.Stop}, {"reference", &t.Reference},
		{"currency", &t.Currency}, {"payment_mode", &t.PaymentMode}, {"category", &t.Category},
	}
}

func (m *Movement) fields() []field {
	return []field{
		{"resource", &m.Resource}, {"title", &m.Title}, {"reference", &m.Reference}, {"quantity", &m.Quantity}, {"price", &m.Price},
		{"VAT", &m.VAT}, {"category", &m.Category},
	}
}

type field struct {
	name string
	text *string
}

const saleType = "Sale Packing List"

// FormatUsage writes a usage report. Errors are [ErrUnwritable].
func FormatUsage(report []Transaction) (string, error) {
	var b strings.Builder
	b.WriteString("<?xml version='1.0' encoding='utf-8'?><journal>")
	for i := range report {
		t := &report[i]
		b.WriteString(`<transaction type="` + saleType + `">`)
		err := writeFields(&b, t.fields())
		if err == nil {
			b.WriteString(`<arrow type="Administration">`)
			err = writeFields(&b, []field{{"source", &t.Source}, {"destination", &t.Destination}})
			b.WriteString("</arrow>")
		}
		for j := range t.Movements {
			if err == nil {
				b.WriteString("<movement>")
				err = writeFields(&b, t.Movements[j].fields())
				b.WriteString("</movement>")
			}
		}
		if err != nil {
			return "", Within("transaction", err)
		}
		b.WriteString("</transaction>")
	}
	b.WriteString("</journal>")
	return b.String(), nil
}

func writeFields(b *strings.Builder, fields []field) error {
	for _, f := range fields {
		if err := checkXML(*f.text); err != nil {
			return Within(f.name, err)
		}
		b.WriteString("<" + f.name + ">")
		textXML.WriteString(b, *f.text)
		b.WriteString("</" + f.name + ">")
	}
	return nil
}

// ParseUsage reads a usage report. An unknown element, or a repeated one that may stand once, is an
// error; a missing one is "". Errors are [ErrMalformed].
func ParseUsage(document string) ([]Transaction, error) {
	if len(document) > MaxSize {
		return nil, Malformed("", "a report of %d bytes; at most %d are read", len(document), MaxSize)
	}
	d := &decoder{x: newXML(document)}
	token, err := d.next()
	if err == io.EOF {
		return nil, d.fail("an empty report")
	} else if err != nil {
		return nil, notXML(err)
	}
	if start, ok := token.(xml.StartElement); !ok || start.Name.Local != "journal" {
		return nil, d.fail("the root is not <journal>")
	}
	var report []Transaction
	err = d.elements("journal", func(start xml.StartElement) error {
		if start.Name.Local != "transaction" {
			return d.fail("<%.40s> in <journal>", start.Name.Local)
		}
		if kind := attribute(start, "type"); kind != saleType {
			return d.fail("a transaction of type %.80q; %q is wanted", kind, saleType)
		}
		t, err := d.transaction()
		report = append(report, t)
		return err
	})
	if err == nil {
		err = d.end()
	}
	if err != nil {
		return nil, notXML(err)
	}
	return report, nil
}

// ParseConsumption reads a partition's own report of its use: a <consumption> of <movement>s. Each
// has a resource, a numeric quantity, a price and a VAT, and perhaps a title, a reference and
// categories, of which the first is kept. Errors are [ErrMalformed].
func ParseConsumption(document string) ([]Movement, error) {
	if len(document) > MaxSize {
		return nil, Malformed("", "a consumption of %d bytes; at most %d are read", len(document), MaxSize)
	}
	d := &decoder{x: newXML(document)}
	token, err := d.next()
	if err == io.EOF {
		return nil, d.fail("an empty consumption")
	} else if err != nil {
		return nil, notXML(err)
	}
	if start, ok := token.(xml.StartElement); !ok || start.Name.Local != "consumption" {
		return nil, d.fail("the root is not <consumption>")
	}
	var all []Movement
	err = d.elements("consumption", func(start xml.StartElement) error {
		if start.Name.Local != "movement" {
			return d.fail("<%.40s> in <consumption>", start.Name.Local)
		}
		m, err := d.consumed()
		all = append(all, m)
		return err
	})
	if err == nil {
		err = d.end()
	}
	if err != nil {
		return nil, notXML(err)
	}
	return all, nil
}

// consumed reads a movement of a consumption.
func (d *decoder) consumed() (Movement, error) {
	var m Movement
	have := map[string]bool{}
	fields := m.fields()
	rest := d.once("movement", fields[:len(fields)-1])
	err := d.elements("movement", func(start xml.StartElement) error {
		first := !have[start.Name.Local]
		have[start.Name.Local] = true
		if start.Name.Local != "category" {
			return rest(start)
		}
		text, err := d.text("category")
		if first {
			m.Category = text
		}
		return err
	})
	if err != nil {
		return m, err
	}
	for _, name := range []string{"resource", "quantity", "price", "VAT"} {
		if !have[name] {
			return m, d.fail("a <movement> without <%s>", name)
		}
	}
	if n, err := strconv.ParseFloat(strings.TrimSpace(m.Quantity), 64); err != nil || n-n != 0 {
		return m, d.fail("the quantity %.40q is no number", m.Quantity)
	}
	return m, nil
}

func (d *decoder) transaction() (Transaction, error) {
	var t Transaction
	arrow := false
	fields := d.once("transaction", t.fields())
	err := d.elements("transaction", func(start xml.StartElement) error {
		switch start.Name.Local {
		case "movement":
			var m Movement
			err := d.elements("movement", d.once("movement", m.fields()))
			t.Movements = append(t.Movements, m)
			return err
		case "arrow":
			if arrow {
				return d.fail("a second <arrow> in <transaction>")
			}
			arrow = true
			return d.elements("arrow", d.once("arrow", []field{{"source", &t.Source}, {"destination", &t.Destination}}))
		}
		return fields(start)
	})
	return t, err
}

// elements calls each with every element up to the end of the one that is open; each reads its
// element to its end.
func (d *decoder) elements(parent string, each func(xml.StartElement) error) error {
	for {
		token, err := d.next()
		if err == io.EOF {
			return d.fail("<%s> does not end", parent)
		} else if err != nil {
			return err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			return nil
		}
		if err := each(start); err != nil {
			return err
		}
	}
}

// once reads an element into its field, and refuses one that has none or has had its text.
func (d *decoder) once(parent string, fields []field) func(xml.StartElement) error {
	read := make([]bool, len(fields))
	return func(start xml.StartElement) error {
		for i, f := range fields {
			if f.name != start.Name.Local {
				continue
			}
			if read[i] {
				return d.fail("a second <%s> in <%s>", f.name, parent)
			}
			read[i] = true
			var err error
			*f.text, err = d.text(f.name)
			return err
		}
		return d.fail("<%.40s> in <%s>", start.Name.Local, parent)
	}
}
