package main

// bug is a mistake that somebody could make, as edits of the sources, and the
// tests that should notice, the quick ones first.
type bug struct {
	Name  string
	Is    string
	Edits []edit
	Tests []tests
}

// edit replaces a text that occurs once in a file of this module.
type edit struct{ File, Old, New string }

type tests struct{ Package, Run string }

// bugs are the twelve that the tests must catch.
var bugs = []bug{
	{
		Name: "ack-before-commit", Is: "events are answered before their transaction is committed",
		Edits: []edit{{
			"persistence/sqlite/writer.go",
			`	if err := sqlTx.Commit(); err != nil {
		return sekali.Appended{}, fmt.Errorf("commit: %w", err)
	}
`,
			`	answered = true
	go sqlTx.Commit()
`,
		}, {
			"persistence/sqlite/writer.go",
			"	defer func() { _ = sqlTx.Rollback() }()\n",
			"	answered := false\n	defer func() {\n		if !answered {\n			_ = sqlTx.Rollback()\n		}\n	}()\n",
		}},
		Tests: []tests{{"persistence/sqlite", "Fault02PowerLossStates"}, {"apptest", "Fault01KillUnderLoad"}},
	},
	{
		Name: "normal-for-full", Is: "commits are not synced: synchronous=NORMAL where FULL is promised",
		Edits: []edit{
			{"persistence/sqlite/store.go", "	return \"FULL\"\n", "	return \"NORMAL\"\n"},
			{"persistence/sqlite/dsn.go", `Durable: "2"`, `Durable: "1"`},
		},
		Tests: []tests{{"persistence/sqlite", "Fault02PowerLossStates"}, {"apptest", "Fault03PowerLoss"}},
	},
	{
		Name: "dedup-in-memory", Is: "an id is looked for in memory only",
		Edits: []edit{{
			"persistence/sqlite/append.go",
			"	known, err := tx.w.judge.known(all, names)\n",
			"	clear(rows)\n	known, err := tx.w.judge.known(all, names)\n",
		}},
		Tests: []tests{{"httpserver", "DedupDoesNotDepend"}, {"persistence/sqlite", "StoreKeepsTheContract"}},
	},
	{
		Name: "retained-slice", Is: "a payload stays in the memory of its request, which the next one overwrites",
		Edits: []edit{{
			"httpserver/own.go",
			"		e.Payload = payloads[at:len(payloads):len(payloads)]\n",
			"		e.Payload = f.payload\n		_ = at\n",
		}},
		Tests: []tests{{"httpserver", "Retained|BuffersAreReused"}},
	},
	{
		Name: "blob-binding", Is: "ids are stored as BLOB in a table that takes any type",
		Edits: []edit{
			{
				"persistence/sqlite/append.go",
				"	return append(args, seq, same.topicArg(topic), e.ID,",
				"	return append(args, seq, same.topicArg(topic), []byte(e.ID),",
			},
			{
				"persistence/sqlite/schema.go",
				"		payload      blob    not null\n	) strict`",
				"		payload      blob    not null\n	)`",
			},
		},
		Tests: []tests{{"persistence/sqlite", "TablesAreStrict|StoreKeepsTheContract"}},
	},
	{
		Name: "swallowed-commit-error", Is: "the error of a commit is not looked at",
		Edits: []edit{{
			"persistence/sqlite/writer.go",
			"		return sekali.Appended{}, fmt.Errorf(\"commit: %w\", err)\n",
			"",
		}},
		Tests: []tests{{"persistence/sqlite", "FullDisk|Fault04IOErrors"}},
	},
	{
		Name: "retry-after-eio", Is: "after an I/O error the store goes on",
		Edits: []edit{{
			"persistence/sqlite/errors.go",
			"	default:\n		return sekali.ErrStorageFailed.With(err)\n",
			"	default:\n		return &sekali.Error{Code: sekali.CodeStorageBusy, RetryAfter: time.Second, Err: err}\n",
		}},
		Tests: []tests{{"persistence/sqlite", "Fault04IOErrors"}, {"apptest", "AnIOErrorStops"}},
	},
	{
		Name: "no-lock", Is: "two processes may have one data directory",
		Edits: []edit{
			{"persistence/sqlite/lock.go", "syscall.LOCK_EX|syscall.LOCK_NB", "syscall.LOCK_SH|syscall.LOCK_NB"},
			{"persistence/sqlite/lock.go", "lockItself(dir, syscall.LOCK_EX)", "lockItself(dir, syscall.LOCK_SH)"},
		},
		Tests: []tests{{"persistence/sqlite", "ASecond"}, {"apptest", "Fault07ASecondProcess"}},
	},
	{
		Name: "posix-locks", Is: "the database is opened and closed in the process while SQLite's locks are of the kind that this drops",
		Edits: []edit{
			{"persistence/sqlite/lock.go", "sqlite.OFDLocking(true)", "sqlite.OFDLocking(false)"},
			{
				"persistence/sqlite/start.go",
				"	if s.files, err = statFiles(s.path); err != nil {\n",
				"	if f, err := os.Open(s.path); err == nil {\n		_ = f.Close()\n	}\n	if s.files, err = statFiles(s.path); err != nil {\n",
			},
		},
		Tests: []tests{{"apptest", "Fault07TheSQLiteShell"}},
	},
	{
		Name: "unbounded-queue", Is: "whatever comes is queued",
		Edits: []edit{{
			"actors/admission.go",
			"	case a.events+events > a.maxEvents:\n",
			"	case a.events+events < 0:\n",
		}},
		Tests: []tests{{"apptest", "Fault10OverloadIsSaid"}},
	},
	{
		Name: "cl-te", Is: "a request with Content-Length and Transfer-Encoding is taken",
		Edits: []edit{{
			"httpserver/protocol.go",
			"f.lengths > 1 || f.codings > 1 || f.lengths+f.codings > 1",
			"f.lengths > 1 || f.codings > 1",
		}},
		Tests: []tests{{"httpserver", "RawVectors|Smuggled"}},
	},
	{
		Name: "encoding-json-ids", Is: "ids are decoded by encoding/json, which makes different ids one",
		Edits: []edit{
			{
				"httpserver/event.go",
				"	if bytes.IndexByte(plain, '\\\\') < 0 && (r.cleanUTF8 || utf8.Valid(plain)) {\n		return plain, nil\n	}\n",
				"	_ = plain\n	var s string\n	if err := json.Unmarshal(quoted, &s); err == nil {\n		return []byte(s), nil\n	}\n",
			},
			{"httpserver/event.go", "	\"bytes\"\n", "	\"bytes\"\n	\"encoding/json\"\n"},
		},
		Tests: []tests{{"httpserver", "ValueBattery"}},
	},
}
