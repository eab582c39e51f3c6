package server

import (
	"context"
	"fmt"
	"reflect"
	"strconv"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server/request"
)

// Page is the query that selects a page of a list.
type Page struct {
	After  string `query:"after" doc:"what follows this: the next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100000" default:"1000" doc:"so many at most; fewer where they are large"`
	Fields Fields `query:"fields" example:"name,state,lease.id" doc:"only these fields of each, as NAME or NAME.NAME; those that are left out are not there, whatever the schema requires. None: all"`
}

// row returns the record number in After. Numbers grow and are never used again. So a list read
// page by page has each record once that existed all the time, even if the list changes meanwhile.
func (p Page) row() (int64, error) {
	if p.After == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(p.After, 10, 64)
	if err != nil || n < 1 {
		return 0, &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("after=%q: this is no page's next", p.After),
			Hint: "leave it out for the first page, and give the next of a page for the one that follows",
		}
	}
	return n, nil
}

// maxPage is how many bytes the documents of a page have, but for the last of them.
const maxPage = 1 << 20

// page makes the documents of a page from one record more than its limit, with the wanted fields.
// show returns the document of a record, if the caller may see it. last is the row of the last
// record of the page if others follow; 0: none does. The page's bytes count for its caller until it
// is written.
func page[T, O any](
	ctx context.Context, read []T, limit int, f Fields, row func(T) int64, show func(T) (O, bool),
) (out chosen[O], last int64, err error) {
	pick, err := f.picker(reflect.TypeFor[O]())
	if err != nil {
		return out, 0, err
	}
	for i, one := range read {
		if i == limit || len(out.text) > maxPage {
			last = row(read[i-1])
			break
		}
		if doc, ok := show(one); ok {
			if err := out.add(pick, doc); err != nil {
				return out, 0, err
			}
		}
	}
	return out, last, request.Hold(ctx, len(out.text))
}

// next is a row as it stands in a page; "": none follows.
func next(row int64) string {
	if row == 0 {
		return ""
	}
	return strconv.FormatInt(row, 10)
}
