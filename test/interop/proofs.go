package main

import (
	"fmt"

	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/tlog"
)

// maxSize is the size of the largest tree that x/mod can compute with: its search for a power of two below a larger
// one never ends.
const maxSize = 1<<62 - 1

func asHash(data []byte) (tlog.Hash, error) {
	if len(data) != tlog.HashSize {
		return tlog.Hash{}, fmt.Errorf("a hash has %d bytes, not %d", tlog.HashSize, len(data))
	}
	return tlog.Hash(data), nil
}

func asHashes(data [][]byte) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(data))
	for i := range data {
		var err error
		if hashes[i], err = asHash(data[i]); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

type hashList struct {
	Hashes [][]byte `json:"hashes"`
}

func listOf(hashes []tlog.Hash) *hashList {
	list := &hashList{Hashes: make([][]byte, len(hashes))}
	for i := range hashes {
		list.Hashes[i] = hashes[i][:]
	}
	return list
}

// proveRequest: From is the index of a leaf, or the size of an earlier tree.
type proveRequest struct {
	treeRequest
	From int64 `json:"from,string"`
}

func proveInclusion(request proveRequest) (*hashList, error) {
	tree, err := request.tree()
	if err != nil {
		return nil, err
	}
	hashes, err := tlog.ProveRecord(tree.N, request.From, tlog.TileHashReader(tree, request.Folder))
	if err != nil {
		return nil, err
	}
	return listOf(hashes), nil
}

func proveConsistency(request proveRequest) (*hashList, error) {
	tree, err := request.tree()
	if err != nil {
		return nil, err
	}
	hashes, err := tlog.ProveTree(tree.N, request.From, tlog.TileHashReader(tree, request.Folder))
	if err != nil {
		return nil, err
	}
	return listOf(hashes), nil
}

type inclusionRequest struct {
	Leaf   []byte   `json:"leaf"`
	Index  int64    `json:"index,string"`
	Size   int64    `json:"size,string"`
	Root   []byte   `json:"root"`
	Hashes [][]byte `json:"hashes"`
}

type holds struct{}

func checkInclusion(request inclusionRequest) (*holds, error) {
	ends, err := asHashes([][]byte{request.Leaf, request.Root})
	if err != nil {
		return nil, err
	}
	hashes, err := asHashes(request.Hashes)
	if err != nil {
		return nil, err
	}
	return &holds{}, tlog.CheckRecord(hashes, request.Size, ends[1], request.Index, ends[0])
}

type consistencyRequest struct {
	From     int64    `json:"from,string"`
	To       int64    `json:"to,string"`
	FromRoot []byte   `json:"fromRoot"`
	ToRoot   []byte   `json:"toRoot"`
	Hashes   [][]byte `json:"hashes"`
}

func checkConsistency(request consistencyRequest) (*holds, error) {
	roots, err := asHashes([][]byte{request.FromRoot, request.ToRoot})
	if err != nil {
		return nil, err
	}
	hashes, err := asHashes(request.Hashes)
	if err != nil {
		return nil, err
	}
	return &holds{}, tlog.CheckTree(hashes, request.To, roots[1], request.From, roots[0])
}

// proofFields are those of a c2sp.org/tlog-proof. Extra is nil when there is no such line.
type proofFields struct {
	Index      uint64   `json:"index,string"`
	Hashes     [][]byte `json:"hashes"`
	Extra      *[]byte  `json:"extra,omitempty"`
	Checkpoint []byte   `json:"checkpoint"`
}

type proofText struct {
	Proof []byte `json:"proof"`
}

func writeProof(request proofFields) (*proofText, error) {
	hashes, err := asHashes(request.Hashes)
	if err != nil {
		return nil, err
	}
	made := proof.TLogProof{Index: request.Index, Checkpoint: request.Checkpoint}
	for _, hash := range hashes {
		made.Hashes = append(made.Hashes, hash)
	}
	if request.Extra != nil {
		made.ExtraData = *request.Extra
	}
	return &proofText{made.Marshal()}, nil
}

type checkProofRequest struct {
	Proof   []byte `json:"proof"`
	Leaf    []byte `json:"leaf"`
	Origin  string `json:"origin"`
	LogVkey string `json:"logVkey"`
}

// checkProof does what c2sp.org/tlog-proof asks of a verifier: formats parses, and has no verifier of its own.
func checkProof(request checkProofRequest) (*proofFields, error) {
	var parsed proof.TLogProof
	if err := parsed.Unmarshal(request.Proof); err != nil {
		return nil, err
	}
	opened, err := openCheckpoint(openCheckpointRequest{
		Note: parsed.Checkpoint, Origin: request.Origin, LogVkey: request.LogVkey,
	})
	if err != nil {
		return nil, err
	}
	if opened.Size > maxSize || parsed.Index >= opened.Size {
		return nil, fmt.Errorf("leaf %d of %d leaves, and a tree has at most %d", parsed.Index, opened.Size, int64(maxSize))
	}
	fields := &proofFields{Index: parsed.Index, Hashes: [][]byte{}, Checkpoint: parsed.Checkpoint}
	for _, hash := range parsed.Hashes {
		fields.Hashes = append(fields.Hashes, hash[:])
	}
	if parsed.ExtraData != nil {
		fields.Extra = &parsed.ExtraData
	}
	_, err = checkInclusion(inclusionRequest{
		Leaf: request.Leaf, Index: int64(parsed.Index), Size: int64(opened.Size), Root: opened.Root, Hashes: fields.Hashes,
	})
	return fields, err
}
