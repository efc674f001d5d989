// A log of Tessera's POSIX driver behind HTTP, for `npm run bench -- race`: what a personality of it would look like that takes
// what Kedge takes, 32-octet entries one by one or many at once, as octets or as the same JSON.
//
// It answers when every future of Add has resolved: the entries are then in synced files and integrated in the tree, and the
// checkpoint that covers them is yet to come. Entries seen before are answered with their index (antispam).
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"github.com/transparency-dev/tessera/storage/posix/antispam"
	"golang.org/x/mod/sumdb/note"
)

const (
	entrySize          = 32
	maxBody            = 1 << 20
	checkpointInterval = time.Second
	// How often the published checkpoint is looked at, to say when it came.
	watchEvery = 2 * time.Millisecond
)

type checkpoint struct {
	Size        uint64 `json:"size"`
	PublishedAt string `json:"publishedAt"`
}

func main() {
	folder := flag.String("folder", "", "where the log is kept")
	batchSize := flag.Uint("batch-size", tessera.DefaultBatchMaxSize, "entries sequenced at once, at most")
	batchAge := flag.Duration("batch-age", tessera.DefaultBatchMaxAge, "how long an entry waits for others")
	flag.Parse()
	if err := serve(*folder, *batchSize, *batchAge); err != nil {
		log.Fatal(err)
	}
}

func serve(folder string, batchSize uint, batchAge time.Duration) error {
	ctx := context.Background()
	secret, _, err := note.GenerateKey(rand.Reader, "localhost/log/race")
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return err
	}
	driver, err := posix.New(ctx, posix.Config{Path: folder})
	if err != nil {
		return err
	}
	// With the default of 2,048 it refuses requests from some 2,000 entries a second on: its index is filled once a second.
	index, err := badger.NewAntispam(ctx, filepath.Join(folder, "antispam"), badger.AntispamOpts{PushbackThreshold: 1 << 30})
	if err != nil {
		return err
	}
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithCheckpointInterval(checkpointInterval).
		WithBatching(batchSize, batchAge).
		WithPushback(1<<20).
		WithAntispam(tessera.DefaultAntispamInMemorySize, index)
	appender, _, _, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		return err
	}

	published := &history{}
	go published.watch(filepath.Join(folder, "checkpoint"))
	http.HandleFunc("POST /entries", func(w http.ResponseWriter, r *http.Request) {
		entries, err := readEntries(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		last, err := add(r.Context(), appender, entries)
		if errors.Is(err, tessera.ErrPushback) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		} else if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		} else {
			answer(w, http.StatusAccepted, map[string]uint64{"accepted": uint64(len(entries)), "last": last})
		}
	})
	http.HandleFunc("GET /checkpoints", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string][]checkpoint{"checkpoints": published.all()})
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	return http.Serve(listener, nil)
}

// add returns the index of the last entry once all of them are durable.
func add(ctx context.Context, appender *tessera.Appender, entries [][]byte) (uint64, error) {
	futures := make([]tessera.IndexFuture, len(entries))
	for i, entry := range entries {
		futures[i] = appender.Add(ctx, tessera.NewEntry(entry))
	}
	var last tessera.Index
	for _, future := range futures {
		var err error
		if last, err = future(); err != nil {
			return 0, err
		}
	}
	return last.Index, nil
}

func readEntries(r *http.Request) ([][]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		return nil, err
	}
	if r.Header.Get("Content-Type") == "application/json" {
		var parsed struct{ Hashes []string }
		if err := json.Unmarshal(body, &parsed); err != nil {
			return nil, err
		}
		entries := make([][]byte, len(parsed.Hashes))
		for i, text := range parsed.Hashes {
			if entries[i], err = hex.DecodeString(text); err != nil || len(entries[i]) != entrySize {
				return nil, errors.New("a hash is 64 hex digits")
			}
		}
		return entries, nil
	}
	if len(body) == 0 || len(body)%entrySize != 0 {
		return nil, errors.New("send 32 octets for each entry")
	}
	entries := make([][]byte, len(body)/entrySize)
	for i := range entries {
		entries[i] = body[i*entrySize : (i+1)*entrySize]
	}
	return entries, nil
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		log.Print(err)
	}
}

// history is what was published, and when it was there to be read.
type history struct {
	mu          sync.Mutex
	checkpoints []checkpoint
}

func (h *history) all() []checkpoint {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]checkpoint{}, h.checkpoints...)
}

func (h *history) watch(path string) {
	var seen time.Time
	for range time.Tick(watchEvery) {
		info, err := os.Stat(path)
		if err != nil || info.ModTime().Equal(seen) {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		seen = info.ModTime()
		lines := strings.SplitN(string(text), "\n", 3)
		size, err := strconv.ParseUint(lines[1], 10, 64)
		if err != nil {
			log.Fatalf("not a checkpoint: %q", text)
		}
		at := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
		h.mu.Lock()
		h.checkpoints = append(h.checkpoints, checkpoint{size, at})
		h.mu.Unlock()
	}
}
