package storetest

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// answers: an answer is there for other handles too, for its owner alone, until it is old.
func answers(t *testing.T, r *rig) {
	now := time.Now()
	want := store.Answer{
		Owner: "ann", Key: "k\x00\xff", Digest: "d", Time: now, Status: 201, Type: "application/json",
		Body: []byte("{\"a\":\"\x00\xfe\"}"),
	}
	old := store.Answer{Owner: "ann", Key: "old", Time: now.Add(-time.Hour), Body: []byte{}}
	update(t, r, func(tx store.Tx) error {
		at := tx
		first := want
		first.Digest, first.Body = "first", []byte{}
		return errors.Join(at.SaveAnswer(&first), at.SaveAnswer(&want), at.SaveAnswer(&old))
	})
	other := r.open()
	update(t, other, func(tx store.Tx) error {
		at := tx
		if _, err := at.Answer("ann", "old"); err != nil {
			return err
		}
		return at.DropAnswers(now.Add(-time.Minute))
	})
	for _, s := range []Handle{r, other} {
		view(t, s, func(tx store.Tx) error {
			at := tx
			a, err := at.Answer("ann", want.Key)
			if err != nil || a.Digest != "d" || a.Status != 201 || !a.Time.Equal(now) ||
				!bytes.Equal(a.Body, want.Body) || a.Type != want.Type {
				t.Errorf("%+v, %v", a, err)
			}
			for _, none := range [][2]string{{"bob", want.Key}, {"ann", "old"}, {"ann", "x"}} {
				_, err := at.Answer(none[0], none[1])
				is(t, none[1], err, compute.ErrNotFound)
			}
			return nil
		})
	}
}
