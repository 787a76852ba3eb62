package sqlite

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

// logModel writes a log as SQLite does, on a disk that loses what was not
// synced: sectors of 64 bytes within pages of 512 make torn frames likely.
type logModel struct {
	random *rand.Rand
	disk   []byte // what is there after the last crash
	salts  uint64

	end    int // of the last whole transaction
	sum    walSum
	synced int // transactions
}

const modelPage, modelSector = 512, 64

func newLogModel(random *rand.Rand) *logModel {
	m := &logModel{random: random}
	m.disk = make([]byte, random.IntN(4)*40*(frameHeaderBytes+modelPage)) // of an earlier round, or new
	for i := range m.disk {
		m.disk[i] = byte(random.Uint32())
	}
	m.begin()
	return m
}

// begin writes and syncs the header of a new round.
func (m *logModel) begin() {
	be := binary.BigEndian
	m.salts = m.random.Uint64()
	header := be.AppendUint32(nil, walMagic)
	header = be.AppendUint32(header, walVersion)
	header = be.AppendUint32(header, modelPage)
	header = be.AppendUint32(header, 7)
	header = be.AppendUint64(header, m.salts)
	m.sum = walSum{}.add(header, binary.LittleEndian)
	header = be.AppendUint32(be.AppendUint32(header, m.sum.a), m.sum.b)
	m.end = walHeaderBytes
	m.put(0, header)
}

func (m *logModel) put(at int, b []byte) {
	if n := at + len(b) - len(m.disk); n > 0 {
		m.disk = append(m.disk, make([]byte, n)...)
	}
	copy(m.disk[at:], b)
}

// transaction returns the frames of a new one and the checksum that they end
// with.
func (m *logModel) transaction() (frames []byte, sum walSum) {
	be := binary.BigEndian
	sum = m.sum
	for left := 1 + m.random.IntN(6); left > 0; left-- {
		frame := be.AppendUint32(nil, 1+m.random.Uint32N(50))
		var pages uint32
		if left == 1 {
			pages = 50
		}
		frame = be.AppendUint32(frame, pages)
		sum = sum.add(frame, binary.LittleEndian)
		frame = be.AppendUint64(frame, m.salts)
		page := make([]byte, modelPage)
		for i := range page {
			page[i] = byte(m.random.Uint32())
		}
		sum = sum.add(page, binary.LittleEndian)
		frame = be.AppendUint32(be.AppendUint32(frame, sum.a), sum.b)
		frames = append(frames, append(frame, page...)...)
	}
	return frames, sum
}

// commit writes and syncs a transaction.
func (m *logModel) commit() {
	frames, sum := m.transaction()
	m.put(m.end, frames)
	m.end, m.sum = m.end+len(frames), sum
	m.synced++
}

// crash writes sectors of a transaction that is not synced, rarely all.
func (m *logModel) crash() {
	frames, sum := m.transaction()
	defer func() {
		if end := m.end + len(frames); len(m.disk) >= end && bytes.Equal(m.disk[m.end:end], frames) { // all of it is there
			m.end, m.sum = end, sum
			m.synced++
		}
	}()
	switch m.random.IntN(3) {
	case 0: // nothing of it
	case 1: // all but one sector
		lost := m.random.IntN(len(frames)/modelSector) * modelSector
		m.put(m.end, frames[:lost])
		m.put(m.end+lost+modelSector, frames[lost+modelSector:])
	default: // any sectors
		for at := 0; at < len(frames); at += modelSector {
			if m.random.IntN(2) == 0 {
				m.put(m.end+at, frames[at:min(at+modelSector, len(frames))])
			}
		}
	}
	if m.random.IntN(2) == 0 { // the file ends where the writing did, in the middle of a frame
		m.disk = m.disk[:min(len(m.disk), m.end+m.random.IntN(len(frames)+1))]
	}
}

func mustAudit(t testing.TB, log []byte) LogReport {
	t.Helper()
	r, err := auditFrames(bytes.NewReader(log))
	require.NoError(t, err)
	return r
}

// TestNoLegalEndOfALogIsTakenForALoss lets power fail again and again on one
// log, so that rests of transactions lie upon rests of others.
func TestNoLegalEndOfALogIsTakenForALoss(t *testing.T) {
	random := rand.New(rand.NewPCG(prove.Seed(t), 1))
	states := 0
	for range 150 {
		m := newLogModel(random)
		for range 8 {
			for range random.IntN(5) {
				m.commit()
			}
			m.crash()
			r := mustAudit(t, m.disk)
			require.Zero(t, r.LostCommits)
			require.False(t, r.HeaderDamaged)
			require.EqualValues(t, m.synced, r.Commits, "what was synced is accepted, what was torn is not")
			states++
		}
	}
	t.Logf("%d legal states", states)
}

// TestABitThatRotsBeforeTheLastTransactionsProvesTheLoss is the control of the
// test above: the same logs with one bit changed.
func TestABitThatRotsBeforeTheLastTransactionsProvesTheLoss(t *testing.T) {
	random := rand.New(rand.NewPCG(prove.Seed(t), 2))
	for range 300 {
		m := newLogModel(random)
		for range 1 + random.IntN(5) {
			m.commit()
		}
		rotten := m.end
		for range 3 {
			m.commit()
		}
		m.crash()
		at := walHeaderBytes + random.IntN(rotten-walHeaderBytes)
		m.disk[at] ^= 1 << random.IntN(8)
		r := mustAudit(t, m.disk)
		require.GreaterOrEqual(t, r.LostCommits, int64(2), "byte %d of %d", at, m.end)
		require.LessOrEqual(t, r.validBytes(), int64(at))
		// The last one is proven by a frame that follows it, if there is one, and
		// one bit may hide a transaction or make one look like two.
		require.InDelta(t, m.synced, r.Commits+r.LostCommits, 2)
	}
}

func TestALogWithoutAWholeHeaderIsReported(t *testing.T) {
	m := newLogModel(rand.New(rand.NewPCG(1, 2)))
	m.commit()
	require.False(t, mustAudit(t, m.disk).HeaderDamaged, "the control")
	for at := range walHeaderBytes {
		damaged := bytes.Clone(m.disk)
		damaged[at] ^= 0x10
		require.True(t, mustAudit(t, damaged).HeaderDamaged, at)
	}
	require.True(t, mustAudit(t, m.disk[:walHeaderBytes-1]).HeaderDamaged)
	require.Equal(t, LogReport{}, mustAudit(t, nil))
	r, err := auditLog(t.TempDir())
	require.NoError(t, err)
	require.Equal(t, LogReport{}, r)
}

// TestPaddingIsNoProof: on disks that do not write sectors whole SQLite writes
// the last frame of a transaction several times before it syncs.
func TestPaddingIsNoProof(t *testing.T) {
	m := newLogModel(rand.New(rand.NewPCG(3, 4)))
	m.disk = m.disk[:walHeaderBytes]
	frames, sum := m.transaction()
	last := bytes.Clone(frames[len(frames)-frameHeaderBytes-modelPage:])
	for range 3 {
		sum = sum.add(last[:8], binary.LittleEndian).add(last[frameHeaderBytes:], binary.LittleEndian)
		binary.BigEndian.PutUint32(last[16:], sum.a)
		binary.BigEndian.PutUint32(last[20:], sum.b)
		frames = append(frames, last...)
	}
	m.put(m.end, frames)
	require.Zero(t, mustAudit(t, m.disk).LostCommits)
	m.disk[m.end+frameHeaderBytes] ^= 1
	require.Zero(t, mustAudit(t, m.disk).LostCommits, "a torn transaction")
}

// TestTheAuditSeesWhatSQLiteAccepts compares the two on flipped bits.
func TestTheAuditSeesWhatSQLiteAccepts(t *testing.T) {
	random := rand.New(rand.NewPCG(prove.Seed(t), 3))
	s := openTest(t, t.TempDir(), Options{})
	const batches, events = 12, 10
	for i := range batches {
		mustAppend(t, s, batchOf("t", i*events, events, 300))
	}
	dir := crashed(t, s)
	wal, err := os.ReadFile(filepath.Join(dir, databaseFile+"-wal"))
	require.NoError(t, err)
	r, err := auditLog(dir)
	require.NoError(t, err)
	require.EqualValues(t, batches, r.Commits)
	require.Equal(t, r.Frames, r.Valid)
	for range 40 {
		damaged := bytes.Clone(wal)
		at := random.IntN(len(damaged))
		damaged[at] ^= 1 << random.IntN(8)
		copied := t.TempDir()
		path := filepath.Join(copied, databaseFile)
		require.NoError(t, os.WriteFile(path+"-wal", damaged, 0o600))
		r, err := auditLog(copied)
		require.NoError(t, err)
		copyFile(t, filepath.Join(dir, databaseFile), path)

		db, err := sql.Open("sqlite", path)
		require.NoError(t, err)
		var seen int64
		require.NoError(t, db.QueryRowContext(t.Context(), "select count(*) from events").Scan(&seen))
		require.NoError(t, db.Close())
		require.Equal(t, seen, r.Commits*events, "after a change of byte %d", at)
	}
}

func FuzzAuditFrames(f *testing.F) {
	m := newLogModel(rand.New(rand.NewPCG(5, 6)))
	for range 4 {
		m.commit()
		f.Add(bytes.Clone(m.disk))
		m.crash()
		f.Add(bytes.Clone(m.disk))
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		r := mustAudit(t, log)
		require.LessOrEqual(t, r.Valid, r.Frames)
		require.LessOrEqual(t, r.Commits, r.Valid)
		require.LessOrEqual(t, r.LostCommits, r.Frames-r.Valid)
		if r.Valid > 0 {
			require.LessOrEqual(t, r.validBytes(), int64(len(log)))
			require.Equal(t, r.Valid, mustAudit(t, log[:r.validBytes()]).Frames, "what follows changes nothing of what is accepted")
		}
	})
}
