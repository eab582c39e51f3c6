package migration

import (
	"database/sql"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/store/sqlite"
)

var update = flag.Bool("update", false, "write ../tables.sql")

// TestTables makes sure that a new file has the tables that the steps make, with what stands in
// them, and the format of the last step; else an older file would become another.
func TestTables(t *testing.T) {
	dir := t.TempDir()
	stepped, made := filepath.Join(dir, "stepped.db"), filepath.Join(dir, "state.db")
	if err := Up(t.Context(), stepped); err != nil {
		t.Fatal(err)
	}
	want := dump(t, stepped)
	const tables = "../tables.sql"
	if *update {
		if err := os.WriteFile(tables, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if kept, err := os.ReadFile(tables); err != nil || string(kept) != want {
		t.Errorf("tables.sql is not what the steps make (%v); go test ./store/sqlite/migration -update writes it", err)
	}
	st, err := sqlite.Open(t.Context(), made, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	got := slices.Collect(strings.Lines(dump(t, made)))
	got = slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, "INSERT INTO meta ") })
	if got := strings.Join(got, ""); got != want {
		t.Errorf("a new file has\n%s\nwant\n%s", got, want)
	}
	head, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	files, err := steps.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	if got := binary.BigEndian.Uint32(head[60:64]); int(got) != len(files) {
		t.Errorf("user_version of a new file: got %d, want %d, as there are so many steps", got, len(files))
	}
}

// dump returns the statements that make a file's tables and what stands in them, but for times.
func dump(t *testing.T, path string) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	list := func(query string) (out []string) {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			out = append(out, s)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return out
	}
	var b strings.Builder
	for _, s := range list("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid") {
		fmt.Fprintf(&b, "%s;\n", s)
	}
	for _, table := range list("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid") {
		columns := list("SELECT name FROM pragma_table_info('" + table + "') " +
			"WHERE NOT (pk AND type = 'INTEGER') AND name <> 'tstamp' ORDER BY cid")
		if len(columns) == 0 {
			continue
		}
		quoted := "quote(" + strings.Join(columns, ") || ', ' || quote(") + ")"
		for _, row := range list("SELECT " + quoted + " FROM " + table) {
			fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES (%s);\n", table, strings.Join(columns, ", "), row)
		}
	}
	return b.String()
}
