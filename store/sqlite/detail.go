package sqlite

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store/record"
)

// details is how many decoded ones a session remembers; then it begins anew.
const details = 512

// detail decodes a column, or returns the last result for the same text.
func (s *session) detail(text string) (*record.Detail, error) {
	if d := s.details[text]; d != nil {
		return d, nil
	}
	d := &record.Detail{}
	if err := record.Unpack(text, d); err != nil {
		return nil, err
	}
	if s.details == nil || len(s.details) >= details {
		s.details = map[string]*record.Detail{}
	}
	s.details[text] = d
	return d, nil
}

// packDetail encodes what goes into the column; was is what stands there, as far as it is known.
func (s *session) packDetail(i *compute.Instance, was string) string {
	d := record.DetailOf(i)
	if was != "" {
		if old, err := s.detail(was); err == nil && d.Equal(old) {
			return was
		}
	}
	return d.Text()
}
