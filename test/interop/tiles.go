package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// tileHeight and tileWidth are those of c2sp.org/tlog-tiles.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// bundleLevel is the level at which x/mod has what tlog-tiles calls entry bundles.
const bundleLevel = -1

// tilesPath turns a path of x/mod, which names the height and calls bundles data, into one of tlog-tiles.
func tilesPath(tile tlog.Tile) string {
	path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
	return strings.Replace(path, "tile/data/", "tile/entries/", 1)
}

func parseTilesPath(path string) (tlog.Tile, error) {
	rest, found := strings.CutPrefix(path, "tile/")
	if !found {
		return tlog.Tile{}, errors.New("not a tile path")
	}
	if bundle, found := strings.CutPrefix(rest, "entries/"); found {
		rest = "data/" + bundle
	}
	return tlog.ParseTilePath("tile/8/" + rest)
}

// tileRequest has level -1 for an entry bundle.
type tileRequest struct {
	Level int   `json:"level"`
	Index int64 `json:"index,string"`
	Width int   `json:"width"`
}

type pathRequest struct {
	Path string `json:"path"`
}

func writeTilePath(tile tileRequest) (*pathRequest, error) {
	return &pathRequest{tilesPath(tlog.Tile{H: tileHeight, L: tile.Level, N: tile.Index, W: tile.Width})}, nil
}

func readTilePath(request pathRequest) (*tileRequest, error) {
	tile, err := parseTilesPath(request.Path)
	if err != nil {
		return nil, err
	}
	return &tileRequest{Level: tile.L, Index: tile.N, Width: tile.W}, nil
}

type growthRequest struct {
	From int64 `json:"from,string"`
	To   int64 `json:"to,string"`
}

type pathList struct {
	Paths []string `json:"paths"`
}

func changedTiles(growth growthRequest) (*pathList, error) {
	list := &pathList{Paths: []string{}}
	for _, tile := range tlog.NewTiles(tileHeight, growth.From, growth.To) {
		list.Paths = append(list.Paths, tilesPath(tile))
	}
	return list, nil
}

// folder reads the tiles of a log from files, as a tile client reads them from a server.
type folder string

func (f folder) Height() int { return tileHeight }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		var err error
		if data[i], err = os.ReadFile(f.file(tile)); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func (f folder) file(tile tlog.Tile) string {
	return filepath.Join(string(f), filepath.FromSlash(tilesPath(tile)))
}

func (f folder) write(tile tlog.Tile, data []byte) error {
	file := f.file(tile)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

// bundles are the entry bundles of a tree, at their width there.
func bundles(size int64) []tlog.Tile {
	var tiles []tlog.Tile
	for index := int64(0); index*tileWidth < size; index++ {
		width := min(size-index*tileWidth, tileWidth)
		tiles = append(tiles, tlog.Tile{H: tileHeight, L: bundleLevel, N: index, W: int(width)})
	}
	return tiles
}

// entry is the i-th entry of every tree of these tests: "entry i", i%5 times; the tenth is the longest there can be.
func entry(i int64) []byte {
	if i == 9 {
		return bytes.Repeat([]byte{0xff}, 1<<16-1)
	}
	return bytes.Repeat(fmt.Appendf(nil, "entry %d", i), int(i%5))
}

type treeRequest struct {
	Folder folder `json:"folder"`
	Size   int64  `json:"size,string"`
	Root   []byte `json:"root"`
}

func (r treeRequest) tree() (tlog.Tree, error) {
	root, err := asHash(r.Root)
	return tlog.Tree{N: r.Size, Hash: root}, err
}

type newTreeRequest struct {
	Folder folder `json:"folder"`
	Size   int64  `json:"size,string"`
}

type rootResult struct {
	Root []byte `json:"root"`
}

// writeTree makes the tree of the first entries with x/mod, and writes its tiles and entry bundles.
func writeTree(request newTreeRequest) (*rootResult, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	for i := range request.Size {
		hashes, err := tlog.StoredHashes(i, entry(i), reader)
		if err != nil {
			return nil, err
		}
		stored = append(stored, hashes...)
	}
	for _, tile := range tlog.NewTiles(tileHeight, 0, request.Size) {
		data, err := tlog.ReadTileData(tile, reader)
		if err != nil {
			return nil, err
		}
		if err := request.Folder.write(tile, data); err != nil {
			return nil, err
		}
	}
	for _, tile := range bundles(request.Size) {
		if err := request.Folder.write(tile, encodeBundle(tile)); err != nil {
			return nil, err
		}
	}
	root, err := tlog.TreeHash(request.Size, reader)
	return &rootResult{root[:]}, err
}

// Neither library knows entry bundles: these two follow c2sp.org/tlog-tiles, Log entries.

func encodeBundle(tile tlog.Tile) []byte {
	var bundle []byte
	for i := range int64(tile.W) {
		data := entry(tile.N*tileWidth + i)
		bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(data)))
		bundle = append(bundle, data...)
	}
	return bundle
}

func decodeBundle(bundle []byte, width int) ([][]byte, error) {
	var entries [][]byte
	for range width {
		if len(bundle) < 2 {
			return nil, errors.New("the bundle ends before an entry")
		}
		length := int(binary.BigEndian.Uint16(bundle))
		if len(bundle) < 2+length {
			return nil, errors.New("the bundle ends inside an entry")
		}
		entries = append(entries, bundle[2:2+length])
		bundle = bundle[2+length:]
	}
	if len(bundle) > 0 {
		return nil, errors.New("the bundle goes on after its entries")
	}
	return entries, nil
}

type readResult struct {
	Entries int64 `json:"entries,string"`
}

// readLeaves reads every leaf hash from the tiles, authenticated by the root.
func readLeaves(request treeRequest) (*readResult, error) {
	leaves, err := request.leaves()
	return &readResult{Entries: int64(len(leaves))}, err
}

// readEntries reads every leaf hash, and every entry from the bundles.
func readEntries(request treeRequest) (*readResult, error) {
	leaves, err := request.leaves()
	if err != nil {
		return nil, err
	}
	for _, tile := range bundles(request.Size) {
		bundle, err := os.ReadFile(request.Folder.file(tile))
		if err != nil {
			return nil, err
		}
		entries, err := decodeBundle(bundle, tile.W)
		if err != nil {
			return nil, err
		}
		for i, data := range entries {
			if tlog.RecordHash(data) != leaves[tile.N*tileWidth+int64(i)] {
				return nil, fmt.Errorf("entry %d of bundle %d is not in the tree", i, tile.N)
			}
		}
	}
	return &readResult{Entries: int64(len(leaves))}, nil
}

func (r treeRequest) leaves() ([]tlog.Hash, error) {
	tree, err := r.tree()
	if err != nil {
		return nil, err
	}
	if tree.N == 0 {
		// TileHashReader panics on the empty tree; TreeHash reads nothing for it.
		if empty, err := tlog.TreeHash(0, nil); err != nil || empty != tree.Hash {
			return nil, errors.New("not the root of the empty tree")
		}
		return nil, nil
	}
	indexes := make([]int64, tree.N)
	for i := range tree.N {
		indexes[i] = tlog.StoredHashIndex(0, i)
	}
	return tlog.TileHashReader(tree, r.Folder).ReadHashes(indexes)
}
