import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import typescript from 'typescript-eslint';

import svelteConfig from './svelte.config.js';

export default typescript.config(
  { ignores: ['dist/', 'dist-app/', 'src/api/schema.d.ts', 'app/schema.d.ts'] },
  ...typescript.configs.strict,
  ...svelte.configs['flat/recommended'],
  { languageOptions: { globals: { ...globals.browser, ...globals.node } } },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: {
      parserOptions: { parser: typescript.parser, extraFileExtensions: ['.svelte'], svelteConfig },
    },
  },
  {
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
      // Without one, a button in a form sends the form.
      'svelte/button-has-type': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', destructuredArrayIgnorePattern: '^_' },
      ],
      // Maps and sets here live within one function, and the query of the address is made anew.
      'svelte/prefer-svelte-reactivity': 'off',
      // Written out where `Loaded` has other snippets too, and `{' '}` is a space that Prettier keeps.
      'svelte/no-useless-children-snippet': 'off',
      'svelte/no-useless-mustaches': 'off',
      // Addresses are hash routes of our own router, not SvelteKit's.
      'svelte/no-navigation-without-resolve': 'off',
    },
  },
);
