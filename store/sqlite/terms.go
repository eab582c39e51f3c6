package sqlite

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store/record"
)

// termsMemory remembers how terms are written, both ways.
type termsMemory struct {
	texts map[record.Terms]string
	terms map[string]record.Terms
}

// text writes a lease's terms.
func (m *termsMemory) text(l *compute.Lease) string {
	t := record.TermsOf(l)
	text, ok := m.texts[t]
	if !ok {
		text = t.Text()
		m.remember(t, text)
	}
	return text
}

// give reads a lease's terms.
func (m *termsMemory) give(text string, l *compute.Lease) error {
	t, ok := m.terms[text]
	if !ok {
		if err := record.Unpack(text, &t); err != nil {
			return err
		}
		m.remember(t, text)
	}
	return t.Give(l)
}

func (m *termsMemory) remember(t record.Terms, text string) {
	if m.texts == nil || len(m.texts) >= details || len(m.terms) >= details {
		m.texts, m.terms = map[record.Terms]string{}, map[string]record.Terms{}
	}
	m.texts[t], m.terms[text] = text, t
}
