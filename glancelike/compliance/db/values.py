"""What goes in comes out: text, numbers, times, and values that do not change behind the caller's back."""

from __future__ import annotations

import datetime
import threading

from glancelike.compliance.db.case import DbCase
from glancelike.plugin import ImageChanges, Location

#: Not Latin-1, not in the BMP, right to left, joined from several characters, and not normalised.
TEXTS = ('plain', 'Ünïcödé', '日本語', '🐧🚀', '👩‍👩‍👧', 'שלום', 'e\u0301', '\ufb03', 'tab\tand\n"quotes" \'%_\\',
         'x ', '')


class ValueSuite(DbCase):
    """ALL-1, ALL-2, ALL-4, ALL-5 and ALL-8, as images show them."""

    def test_a_returned_image_does_not_change_with_the_stored_one(self):
        """ALL-2: neither through a later write nor through the caller's own dictionary."""
        properties = {'a': '1'}
        image = self.stored(properties=properties, tags=frozenset({'t'}))
        properties['a'] = '2'
        found = self.get(image.id)
        self.driver.image_update(self.owner, image.id, ImageChanges({'name': 'n'}, {'a': '3', 'b': '3'},
                                                                    frozenset(), frozenset()))
        for earlier in (image, found):
            self.assertEqual((None, {'a': '1'}, {'t'}, 1),
                             (earlier.name, dict(earlier.properties), earlier.tags, earlier.version))

    def test_text_comes_back_as_it_was_given(self):
        """ALL-4: any Unicode in name, owner, tags, property names and values, and location metadata."""
        for text in TEXTS:
            given = self.stored(name=text, owner=text, tags=frozenset({text}), properties={text or 'x': text},
                                locations=(Location(f'mem://{text}', 's', {text: text}),))
            found = self.get(given.id)
            place = found.locations[0]
            self.assertEqual([text] * 4, [found.name, found.owner, *found.tags, *found.properties.values()])
            self.assertEqual([text or 'x'], list(found.properties))
            self.assertEqual((f'mem://{text}', {text: text}), (place.url, dict(place.metadata)))

    def test_names_that_differ_in_case_blanks_or_accents_are_different_names(self):
        """ALL-4: property names and tags are compared byte for byte."""
        names = ('Straße', 'STRASSE', 'strasse', 'a', 'A', 'a ', ' a', 'á', 'a\u0301', 'ａ')
        image = self.stored(properties={name: name for name in names}, tags=frozenset(names))
        found = self.get(image.id)
        self.assertEqual({name: name for name in names}, dict(found.properties))
        self.assertEqual(set(names), found.tags)

    def test_times_are_aware_and_utc(self):
        """ALL-5: created_at, updated_at and deleted_at."""
        image = self.stored()
        gone = self.driver.image_delete(self.owner, image.id)
        for moment in (image.created_at, image.updated_at, gone.deleted_at):
            self.assertEqual(datetime.timedelta(0), moment.utcoffset())

    def test_times_are_the_present_with_microseconds(self):
        """ALL-5: set by the driver, not cut to seconds."""
        images = [self.stored() for _ in range(3)]
        age = datetime.datetime.now(datetime.UTC) - images[0].created_at
        self.assertLess(abs(age), datetime.timedelta(minutes=5))
        self.assertTrue(any(image.created_at.microsecond % 1000 for image in images))

    def test_updated_at_never_goes_back(self):
        """ALL-5: over a row of writes each time is later than the one before."""
        image = self.stored()
        times = [image.updated_at] + [self.change(image.id, name=str(n)).updated_at for n in range(10)]
        self.assertEqual(sorted(set(times)), times)

    def test_a_reader_never_sees_half_a_write(self):
        """ALL-1: attribute, property and tag of one update are seen together or not at all."""
        image = self.stored(name='0', properties={'n': '0'}, tags=frozenset({'0'}))

        written = threading.Event()

        def write():
            try:
                for n in map(str, range(1, 30)):
                    self.driver.image_update(self.owner, image.id, ImageChanges({'name': n}, {'n': n},
                                                                                tags=frozenset({n})))
            finally:
                written.set()

        def read():
            while not written.is_set():
                found = self.get(image.id)
                self.assertEqual((found.name, {found.name}), (found.properties['n'], found.tags))

        self.assertEqual([None] * 3, self.race(write, read, read))

    def test_the_largest_values_are_stored(self):
        """ALL-8: 255 characters of four bytes each, 65,535 bytes of value, 2**63-1 bytes of size."""
        text, value, size, number = '🐧' * 255, '🐧' * 16383 + 'abc', 2**63 - 1, 2**31 - 1
        image = self.stored(name=text, owner=text, tags=frozenset({text}), properties={text: value, 'e': ''},
                            size=size, virtual_size=size, min_disk=number, min_ram=number)
        found = self.get(image.id)
        self.assertEqual((text, text, {text}, {text: value, 'e': ''}),
                         (found.name, found.owner, found.tags, dict(found.properties)))
        self.assertEqual((size, size, number, number),
                         (found.size, found.virtual_size, found.min_disk, found.min_ram))

    def test_the_smallest_numbers_are_stored(self):
        """ALL-8: 0 is a size, and is not NULL."""
        found = self.get(self.stored(size=0, virtual_size=0, min_disk=0, min_ram=0).id)
        self.assertEqual((0, 0, 0, 0), (found.size, found.virtual_size, found.min_disk, found.min_ram))
