"""Tests of the parts that need no opponent: python3 -m unittest discover -s benches/peers"""

import sys
import tempfile
import unittest
from pathlib import Path

import batching
import predictions
import processes
import rows
import run
import table


class Batching(unittest.TestCase):
    LENGTHS = [3, 9, 4, 8, 5, 7, 6]

    def test_every_row_is_in_one_batch(self):
        for way in (batching.STATIC, batching.DYNAMIC, batching.GROUPED):
            batches = batching.plan(self.LENGTHS, 2, way)
            self.assertEqual(sorted(row for batch in batches for row in batch), list(range(7)), way)
            self.assertEqual(sorted(map(len, batches)), [1, 2, 2, 2], way)

    def test_grouping_pads_least_and_static_most(self):
        shares = [
            batching.padding_share(self.LENGTHS, batching.plan(self.LENGTHS, 2, way), way)
            for way in (batching.GROUPED, batching.DYNAMIC, batching.STATIC)]
        # 42 tokens in 9+9+7+7+5+5+3, in 9+9+8+8+7+7+6 and in 7 x 9 positions.
        for share, positions in zip(shares, (45, 54, 63)):
            self.assertAlmostEqual(share, 1 - 42 / positions)

    def test_padding_is_masked(self):
        ids, mask = batching.padded([[5, 6], [7]], [1, 0], 3)
        self.assertEqual((ids, mask), ([[7, 0, 0], [5, 6, 0]], [[1, 0, 0], [1, 1, 0]]))


class Rows(unittest.TestCase):
    def read(self, content):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "train.csv").write_text(content)
            return rows.read(Path(folder))

    def test_both_names_of_the_text(self):
        for name in ("sentence", "text"):
            self.assertEqual(self.read(f"{name},label\n\"a, b\",x\n"), [("a, b", "x")])

    def test_missing_columns_are_named(self):
        with self.assertRaisesRegex(ValueError, "columns a, label"):
            self.read("a,label\n1,2\n")

    def test_the_shuffle_is_fixed_and_the_file_is_read_back(self):
        content = "text,label\n" + "".join(f"t{i},x\n" for i in range(50))
        pairs = self.read(content)
        self.assertEqual(pairs, self.read(content))
        self.assertNotEqual(pairs, sorted(pairs))
        with tempfile.TemporaryDirectory() as folder:
            rows.write(pairs, Path(folder) / "r.csv")
            texts, labels = rows.load(Path(folder) / "r.csv")
        self.assertEqual(list(zip(texts, labels)), pairs)


class Table(unittest.TestCase):
    def test_more_than_one_is_a_win_whichever_way_is_better(self):
        rate, memory = table.Reading("rate", "", "rows/s", True), table.Reading("m", "", "MiB", False)
        self.assertEqual((rate.ratio(60, 30), memory.ratio(1, 3)), (2, 3))

    def test_the_ratio_is_that_of_the_turns(self):
        # The machine was half as fast in the second turn. The ratio of the medians would be 4.
        result = table.summary(table.Reading("rate", "", "rows/s", True), [60, 30, 60], [30, 15, 15])
        self.assertEqual((result["ratio"], result["ratio_smallest"], result["ratio_largest"]), (2, 2, 4))
        self.assertEqual((result["ours"], result["theirs"]), (60, 15))
        self.assertEqual((result["ours_spread"], result["theirs_spread"]), (0.5, 1))


class Processes(unittest.TestCase):
    def test_output_and_memory_are_of_the_child(self):
        done = processes.run([sys.executable, "-c", "x = bytearray(200 << 20); x[::4096] = b'1' * 51200; print('here')"], {})
        self.assertEqual(done.output, "here\n")
        self.assertTrue(200 < done.peak_mib < 260, done.peak_mib)

    def test_a_failure_is_its_last_line(self):
        with self.assertRaisesRegex(processes.Failed, "^exit code 3: why$"):
            processes.run([sys.executable, "-c", "import sys; print('x\\nwhy', file=sys.stderr); sys.exit(3)"], {})
        with self.assertRaisesRegex(processes.Failed, "does not start"):
            processes.run(["/nowhere/at-all"], {})


class Comparing(unittest.TestCase):
    def test_logits_are_compared_row_by_row(self):
        turn = ({"logits": [[1.0, 2.0], [0.0, 0.0]]}, {"logits": [[1.0, 2.5], [0.25, 0.0]]})
        self.assertEqual(run.logit_difference([turn]), 0.5)
        self.assertIsNone(run.logit_difference([({"rate": 1}, {"rate": 1})]))

    def test_softmax(self):
        self.assertEqual(predictions.softmax([1000.0, 1000.0]), [0.5, 0.5])


if __name__ == "__main__":
    unittest.main()
