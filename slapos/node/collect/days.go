package collect

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/slapos/proto"
)

// dump writes a day's rows as tables of text into DAY.tar.gz: DAY/dump_TABLE.csv, without a line of
// names, as SlapOS does.
func dump(ctx context.Context, db *sql.DB, path, day string) (err error) {
	temp := path + ".tmp"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(temp)
		}
	}()
	z := gzip.NewWriter(f)
	t := tar.NewWriter(z)
	for _, s := range schema {
		if err := dumpTable(ctx, db, t, s.table, columns(s.columns), day); err != nil {
			return err
		}
	}
	for _, end := range []func() error{t.Close, z.Close, f.Sync, f.Close} {
		if err := end(); err != nil {
			return err
		}
	}
	return os.Rename(temp, path)
}

// dumpTable writes one. A file's size stands before it in an archive, so it is counted first and
// written then: the rows are read twice, and never all in memory.
func dumpTable(ctx context.Context, db *sql.DB, t *tar.Writer, table string, names []string, day string) error {
	write := func(w io.Writer) (n int, err error) {
		rows, err := db.QueryContext(
			ctx, fmt.Sprintf(`SELECT %s FROM "%s" WHERE date = ? ORDER BY rowid`, strings.Join(names, ", "), table), day,
		)
		if err != nil {
			return 0, err
		}
		defer rows.Close()
		out := csv.NewWriter(w)
		values, texts := make([]any, len(names)), make([]string, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				return n, err
			}
			for i, v := range values {
				texts[i] = text(v)
			}
			if err := out.Write(texts); err != nil {
				return n, err
			}
			n++
		}
		out.Flush()
		if err := out.Error(); err != nil {
			return n, err
		}
		return n, rows.Err()
	}
	var size counter
	if n, err := write(&size); err != nil || n == 0 {
		return err
	}
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: day + "/dump_" + table + ".csv", Mode: 0o640, Size: int64(size),
		ModTime: at.AddDate(0, 0, 1),
	}); err != nil {
		return err
	}
	_, err = write(t)
	return err
}

// text is a value as tables of text have it.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// counter counts written bytes.
type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

// The resources of a day's journal, by SlapOS's names and ours.
var resources = []struct{ resource, title, query string }{
	// Sums over the processes of each moment, and of these the mean.
	{
		"service_module/cpu_load_percent", "CPU load (percent of a core)",
		`SELECT partition, total(v) / (SELECT max(1, count(DISTINCT time)) FROM system WHERE date = ?1) FROM (SELECT partition, sum(cpu_percent) AS v FROM user WHERE date = ?1 GROUP BY partition, time) GROUP BY partition ORDER BY 1`,
	},
	{
		"service_module/memory_used", "Memory used (MiB)",
		`SELECT partition, total(v) / (SELECT max(1, count(DISTINCT time)) FROM system WHERE date = ?1) / 1048576.0 FROM (SELECT partition, sum(memory_rss) AS v FROM user WHERE date = ?1 GROUP BY partition, time) GROUP BY partition ORDER BY 1`,
	},
	{
		"service_module/disk_used", "Disk used (MiB)",
		`SELECT partition, max(disk_used) / 1024.0 FROM folder WHERE date = ?1 GROUP BY partition ORDER BY 1`,
	},
}

// whole computers' queries have no partition.
var wholes = []struct{ resource, title, query string }{
	{"service_module/cpu_load_percent", "CPU load (percent)", `SELECT avg(cpu_percent) FROM system WHERE date = ?1`},
	{"service_module/memory_used", "Memory used (MiB)", `SELECT avg(memory_used) / 1048576.0 FROM system WHERE date = ?1`},
	{
		"service_module/disk_used", "Disk used (MiB)",
		`SELECT sum(u) / 1048576.0 FROM (SELECT max(CAST(used AS REAL)) AS u FROM disk WHERE date = ?1 GROUP BY partition)`,
	},
}

// maxMovements is how many a journal has, so that a report pass reads and sends it: more of them
// are more journals.
const maxMovements = 150

// journal is what a day came to, by partitions and for the computer, as one journal or more; none
// where there is nothing of it. names has the partitions' IDs by what the tables call them.
func journal(ctx context.Context, db *sql.DB, computer, day string, names map[string]string) (texts []string, err error) {
	t := proto.Transaction{Title: "Resource consumptions", Start: day + " at 00:00:00", Stop: day + " at 23:59:59", Reference: computer}
	add := func(resource, title, of string, quantity sql.NullFloat64) {
		if quantity.Valid {
			t.Movements = append(
				t.Movements,
				proto.Movement{
					Resource: resource, Title: title, Reference: of,
					Quantity: strconv.FormatFloat(quantity.Float64, 'f', 2, 64), Price: "0.00",
				},
			)
		}
	}
	for _, r := range wholes {
		var quantity sql.NullFloat64
		if err := db.QueryRowContext(ctx, r.query, day).Scan(&quantity); err != nil {
			return nil, err
		}
		add(r.resource, r.title, computer, quantity)
	}
	for _, r := range resources {
		if err := each(
			ctx, db, r.query, day,
			func(of string, quantity sql.NullFloat64) { add(r.resource, r.title, cmp.Or(names[of], of), quantity) },
		); err != nil {
			return nil, err
		}
	}
	for all := range slices.Chunk(t.Movements, maxMovements) {
		t.Movements = all
		text, err := proto.FormatUsage([]proto.Transaction{t})
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// each calls is with each row of the query; a quantity may be null.
func each(ctx context.Context, db *sql.DB, query, day string, is func(string, sql.NullFloat64)) error {
	rows, err := db.QueryContext(ctx, query, day)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var of string
		var quantity sql.NullFloat64
		if err := rows.Scan(&of, &quantity); err != nil {
			return err
		}
		is(of, quantity)
	}
	return rows.Err()
}
