package sqlite_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestAnswers: an answer is there when the file is opened again, for its owner alone, until it is old.
func TestAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	want := compute.Answer{Owner: "ann", Key: "k", Digest: "d", Time: now, Status: 201, Type: "application/json", Body: []byte("{\"a\":\"\x00\"}")}
	old := compute.Answer{Owner: "ann", Key: "old", Time: now.Add(-time.Hour), Body: []byte{}}
	err = s.Update(t.Context(), func(tx compute.Tx) error {
		at := tx.(compute.AnswerTx)
		return errors.Join(at.SaveAnswer(&compute.Answer{Owner: "ann", Key: "k", Digest: "first", Body: []byte{}}), at.SaveAnswer(&want), at.SaveAnswer(&old))
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, path)
	err = s.Update(t.Context(), func(tx compute.Tx) error { return tx.(compute.AnswerTx).DropAnswers(now.Add(-time.Minute)) })
	if err != nil {
		t.Fatal(err)
	}
	err = s.View(t.Context(), func(tx compute.Tx) error {
		at := tx.(compute.AnswerTx)
		a, err := at.Answer("ann", "k")
		if err != nil || a.Digest != "d" || a.Status != 201 || !a.Time.Equal(now) || !bytes.Equal(a.Body, want.Body) || a.Type != want.Type {
			t.Errorf("%+v, %v", a, err)
		}
		for _, none := range [][2]string{{"bob", "k"}, {"ann", "old"}, {"ann", "x"}} {
			if a, err := at.Answer(none[0], none[1]); !errors.Is(err, compute.ErrNotFound) {
				t.Errorf("%q: %+v, %v", none, a, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
